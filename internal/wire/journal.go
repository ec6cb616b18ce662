package wire

import (
	"time"
)

// JournalDocument is what a call remembers of its attempts, as it is stored in the
// heartbeat details of its activity. Numbers count from 1, and zero is none.
type JournalDocument struct {
	Started       int       `json:"started"`
	Running       int       `json:"running,omitempty"`
	FirstStart    time.Time `json:"first_start,omitzero"`
	ServerAttempt int32     `json:"server_attempt"`
	ResetTo       int32     `json:"reset_to,omitempty"`
	LeftOut       int       `json:"left_out,omitempty"`
	Cases         []int     `json:"cases,omitempty"`
	LimitWaits    int       `json:"snoozes,omitempty"`
	Adopted       int32     `json:"adopted,omitempty"`
	Pending       bool      `json:"pending,omitempty"`
	Outcomes      []Outcome `json:"outcomes,omitempty"`
}
