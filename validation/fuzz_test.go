package validation_test

import (
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/concurry-go/concurry/internal/marks"
	"github.com/concurry-go/concurry/validation"
)

// FuzzAs feeds the reader of error details bytes from anywhere, as a failure
// that came over the wire.
func FuzzAs(f *testing.F) {
	f.Add("refusals/1", "json/plain", []byte(`{"method":"A.B","attempts":2,"outcomes":[{"n":1,"verdict":"refused","reason":"no","result":{"json":7}}]}`))
	f.Add("refusals/2", "json/plain", []byte(`{}`))
	f.Add("", "binary/plain", []byte{0xff})
	f.Fuzz(func(t *testing.T, mark, encoding string, data []byte) {
		failure := &failurepb.Failure{
			Message: "x",
			FailureInfo: &failurepb.Failure_ApplicationFailureInfo{ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{
				Type:     marks.RefusedType,
				Category: enumspb.APPLICATION_ERROR_CATEGORY_UNSPECIFIED,
				Details: &commonpb.Payloads{Payloads: []*commonpb.Payload{{
					Metadata: map[string][]byte{"concurry": []byte(mark), "encoding": []byte(encoding)}, Data: data,
				}}},
			}},
		}
		var rve *validation.RetryValidationError
		if !validation.As(temporal.GetDefaultFailureConverter().FailureToError(failure), &rve) {
			t.Fatal("an error of the type is not found")
		}
		_ = rve.Error()
		_, _ = validation.Results[any](rve)
		_, _ = validation.Best(rve, func(any) float64 { return 0 })
	})
}
