package wire

// Session is the session that a call is made in.
type Session struct {
	ID string `json:"id"`
}
