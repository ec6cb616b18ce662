package converters

import (
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
)

// safely calls a converter of the user's: one that panics has failed.
func safely(f func() (*commonpb.Payload, error)) (p *commonpb.Payload, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}
