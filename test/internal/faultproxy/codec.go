package faultproxy

import "fmt"

// frame is a message as it travels.
type frame []byte

// raw is the codec of frames. Its name is that of what they hold, since it
// stands in the content type.
type raw struct{}

// Name implements encoding.Codec.
func (raw) Name() string { return "proto" }

// Marshal implements encoding.Codec.
func (raw) Marshal(v any) ([]byte, error) {
	f, ok := v.(*frame)
	if !ok {
		return nil, fmt.Errorf("faultproxy: a %T is no frame", v)
	}
	return *f, nil
}

// Unmarshal implements encoding.Codec.
func (raw) Unmarshal(data []byte, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("faultproxy: a %T is no frame", v)
	}
	*f = append(frame(nil), data...)
	return nil
}
