package failure

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// PanicError is a panic in a method, as filters and callers in this process
// see it.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap gives the error a method panicked with, if it was one.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Recovered turns a panic into an error; use it deferred.
func Recovered(err *error) { Panicked(recover(), err) }

// Panicked turns what recover returned into an error. Nil is none: the
// goroutine ends by runtime.Goexit.
func Panicked(recovered any, err *error) {
	if recovered != nil {
		*err = &PanicError{Value: recovered, Stack: debug.Stack()}
	}
}

// ErrGoexit is the error of an attempt whose body, or a validator or filter, ended
// its goroutine, as a test's FailNow does.
var ErrGoexit = errors.New("the method ended its goroutine without returning")

// ErrAbandoned is the error of an attempt whose body ignored the end of its
// context.
var ErrAbandoned = errors.New("the method ignored the end of its context and was abandoned")
