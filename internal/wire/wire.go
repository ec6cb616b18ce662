// Package wire is how outcomes cross a Temporal server: in the journal inside
// heartbeat details, and in the details of a RetryValidationError.
//
// Both are JSON documents of this package in a payload of their own, which
// carries a mark in its metadata. They are handed to the SDK as raw values,
// so the client's codec (encryption, compression) applies to them, and its
// payload converters do not. Results inside are the user's: the client's own
// converter encodes and decodes them.
package wire

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"

	"github.com/concurry-go/concurry/retrypolicy"
)

const (
	// MarkKey is the metadata key that tells our payloads from the user's.
	MarkKey = "concurry"
	// Version of every document here. Unknown ones are refused.
	Version = 1

	// journalEncoding is the encoding of a journal's payload. Converters that
	// do not know it refuse to decode it: a method on a worker without the
	// engine must not take the journal for details of its own. Web UIs show
	// what begins with "json/".
	journalEncoding = "json/concurry"

	// MaxReason bounds a reason's bytes on the wire.
	MaxReason = 1 << 10
)

// Kind is what a marked payload holds.
type Kind string

const (
	// Journal is what a call remembers of its earlier attempts.
	Journal Kind = "journal"
	// Refusals is the detail of a RetryValidationError.
	Refusals Kind = "refusals"
	// Header is what the caller tells the worker.
	Header Kind = "call"
	// Trail is what the attempts of a call that has ended have left, for whoever
	// looks at it afterwards.
	Trail Kind = "trail"
)

// VersionError is returned for a document of a version this build does not
// know, or with a field that it does not know and has to. It must not be read as
// anything else.
type VersionError struct {
	Kind Kind
	Mark string
	// Needs are the fields; empty if the version is unknown.
	Needs []string
}

func (e *VersionError) Error() string {
	if len(e.Needs) > 0 {
		return fmt.Sprintf("%s needs %s, which this build of concurry does not know; upgrade it", e.Kind, strings.Join(e.Needs, ", "))
	}
	return fmt.Sprintf("%s of format %q: this build of concurry knows %q; upgrade it", e.Kind, e.Mark, mark(e.Kind))
}

func mark(kind Kind) string { return string(kind) + "/" + strconv.Itoa(Version) }

// Seal puts a document into a marked payload. Workflow code does so too:
// encoding/json is deterministic, which workflowcheck does not believe.
//
//workflowcheck:ignore
func Seal(kind Kind, document any) (*commonpb.Payload, error) {
	data, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	encoding := converter.MetadataEncodingJSON
	if kind == Journal {
		encoding = journalEncoding
	}
	return &commonpb.Payload{
		Metadata: map[string][]byte{converter.MetadataEncoding: []byte(encoding), MarkKey: []byte(mark(kind))},
		Data:     data,
	}, nil
}

// Ours reports whether a payload carries the mark of any kind.
func Ours(p *commonpb.Payload) bool { return len(p.GetMetadata()[MarkKey]) > 0 }

// Is reports whether a payload carries the mark of a kind, of any version.
func Is(kind Kind, p *commonpb.Payload) bool {
	return strings.HasPrefix(string(p.GetMetadata()[MarkKey]), string(kind)+"/")
}

// Open reads a marked payload into document; see Seal about workflow code. Fields
// that this build does not know are left out, as a later version may add some that
// matter to later versions only. One that matters to every reader, such as a new
// bound on a call, is named in the document's list "needs" by the version that
// writes it: builds that do not know it refuse the document then.
//
//workflowcheck:ignore
func Open(kind Kind, p *commonpb.Payload, document any) error {
	if m := string(p.GetMetadata()[MarkKey]); m != mark(kind) {
		return &VersionError{Kind: kind, Mark: m}
	}
	return Read(kind, p.GetData(), document)
}

// Read is Open for a document that stands inside another one, such as the journal in
// a ticket.
//
//workflowcheck:ignore
func Read(kind Kind, data []byte, document any) error {
	if err := json.Unmarshal(data, document); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	unknown, err := unknownNeeds(data, document)
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	if len(unknown) > 0 {
		return &VersionError{Kind: kind, Mark: mark(kind), Needs: unknown}
	}
	return nil
}

// Outcome is retrypolicy.Outcome on the wire.
type Outcome struct {
	Attempt     int                 `json:"n"`
	Verdict     retrypolicy.Verdict `json:"verdict"`
	Reason      string              `json:"reason,omitempty"`
	ErrorType   string              `json:"type,omitempty"`
	Wait        time.Duration       `json:"wait_ns,omitempty"`
	BeforeReset bool                `json:"before_reset,omitempty"`
	Result      *Result             `json:"result,omitempty"`
}

// FromOutcome returns the wire form of o, its reason cut to MaxReason. A result
// that never left its process is encoded here, by the default converter.
func FromOutcome(o retrypolicy.Outcome) Outcome {
	w := Outcome{
		Attempt: o.Number, Verdict: o.Verdict, Reason: Cut(o.Reason, MaxReason),
		ErrorType: Cut(o.ErrorType, MaxReason), Wait: o.Wait, BeforeReset: o.BeforeReset,
	}
	switch r := o.Result.(type) {
	case nil:
	case *Result:
		w.Result = r
	default:
		var v any
		if r.Get(&v) == nil {
			w.Result = Encode(v)
		}
	}
	return w
}

// Outcome is the way back; dc decodes the result. Nil is the default converter.
func (w Outcome) Outcome(dc converter.DataConverter) retrypolicy.Outcome {
	o := retrypolicy.Outcome{
		Number: w.Attempt, Verdict: w.Verdict, Reason: w.Reason,
		ErrorType: w.ErrorType, Wait: w.Wait, BeforeReset: w.BeforeReset,
	}
	if w.Result != nil {
		o.Result = w.Result.Decoded(dc)
	}
	return o
}

// RefusedCall is a validation.RetryValidationError on the wire.
type RefusedCall struct {
	Method   string    `json:"method"`
	Attempts int       `json:"attempts"`
	LeftOut  int       `json:"left_out,omitempty"`
	Outcomes []Outcome `json:"outcomes"`
}

// RefusedReasons returns why each refused result was refused, in order.
func RefusedReasons(outcomes []retrypolicy.Outcome) []string {
	var reasons []string
	for _, o := range outcomes {
		if o.Verdict == retrypolicy.VerdictRefused && !o.BeforeReset {
			reasons = append(reasons, o.Reason)
		}
	}
	return reasons
}

// Cut shortens s to at most n bytes, at a rune's border, and says so where
// there is room to. Invalid UTF-8, which protobuf refuses, is replaced.
func Cut(s string, n int) string {
	note := fmt.Sprintf("… (%d bytes)", len(s))
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	if len(note) > n {
		note = ""
	}
	keep := max(n-len(note), 0)
	for keep > 0 && !utf8.RuneStart(s[keep]) {
		keep--
	}
	return s[:keep] + note
}
