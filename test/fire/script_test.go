package fire

// script is how events come about that the field does not know itself. Fields
// that are nil leave it to the field.
type script struct {
	// prepare makes the policy that brings a call into the cell's phase.
	prepare func(c *cell, s *setup)
	// first is what the first worker process has for itself.
	first func(f *field, s *setup)
	// arm is done when the first worker polls, before the call.
	arm func(f *field)
	// call makes the call.
	call func(f *field)
	// strike waits for the phase, and makes the event happen.
	strike func(f *field)
	// settle is done when the call has ended, before bodies are counted.
	settle func(f *field)
}

func scriptOf(e event) script {
	for _, scripts := range []map[event]script{requestScripts(), stallScripts(), codecScripts(), rolloutScripts(), sessionScripts()} {
		if s, ok := scripts[e]; ok {
			return s
		}
	}
	return script{}
}
