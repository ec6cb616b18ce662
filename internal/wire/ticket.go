package wire

import (
	"encoding/json"
	"time"

	"go.temporal.io/sdk/converter"
)

// Ticket is what somebody else needs to complete an attempt.
type Ticket struct {
	Version  int             `json:"v"`
	Method   string          `json:"method"`
	Token    []byte          `json:"token"`
	Attempt  int             `json:"attempt"`
	CallEnd  time.Time       `json:"call_end,omitzero"`
	Journal  json.RawMessage `json:"journal"`
	Activity ActivityName    `json:"activity,omitzero"`
	// Details are the method's own heartbeat details, which the journal's record
	// would replace.
	Details [][]byte `json:"details,omitempty"`
	// Call are the caller's numbers, which decide here too.
	Call *CallNumbers `json:"call,omitempty"`
}

// ActivityName is what converters are told of the activity.
type ActivityName struct {
	Namespace    string                               `json:"namespace,omitempty"`
	WorkflowID   string                               `json:"workflow_id,omitempty"`
	WorkflowType string                               `json:"workflow_type,omitempty"`
	ActivityID   string                               `json:"activity_id,omitempty"`
	TaskQueue    string                               `json:"task_queue,omitempty"`
	Nexus        *converter.NexusSerializationContext `json:"nexus,omitempty"`
}
