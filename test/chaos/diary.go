package main

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// diary is the file of what happened, and when.
type diary struct {
	mu      sync.Mutex
	file    *os.File
	entries []entry
}

type entry struct {
	time time.Time
	text string
}

func openDiary(path string) (*diary, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &diary{file: f}, nil
}

func (d *diary) notef(format string, args ...any) {
	e := entry{time: time.Now(), text: fmt.Sprintf(format, args...)}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, e)
	fmt.Fprintln(d.file, e)
}

// String is the entry as a line.
func (e entry) String() string { return e.time.Format("15:04:05.000") + " " + e.text }

// between are the entries of a time.
func (d *diary) between(from, to time.Time) []entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	var some []entry
	for _, e := range d.entries {
		if !e.time.Before(from) && !e.time.After(to) {
			some = append(some, e)
		}
	}
	return some
}
