package testsuite_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/internal/enginetest"
	"github.com/concurry-go/concurry/retrypolicy"
	"github.com/concurry-go/concurry/testsuite"
	"github.com/concurry-go/concurry/validation"
)

type parcel struct {
	ID     string
	Weight float64 `json:"-"`
}

func TestEnvironmentsHaveTheProgramsConverter(t *testing.T) {
	t.Parallel()
	dc := converter.NewCompositeDataConverter(converter.NewNilPayloadConverter(), enginetest.Gobs{})
	weighing := func(seen *[]parcel) *activity.FuncHandle[parcel, parcel] {
		return activity.Func("Weigh", func(ctx context.Context, in parcel) (parcel, error) {
			*seen = append(*seen, in)
			return parcel{in.ID, float64(activity.AttemptNumber(ctx))}, nil
		}, activity.FuncOptions[parcel, parcel]{
			Retry: retrypolicy.Policy{NumRetries: 2, Wait: time.Second}, CallTimeout: time.Hour,
			RetryUntil: []validation.Validator[parcel]{func(p parcel, _ retrypolicy.Attempt) error { return fmt.Errorf("%v kg", p.Weight) }},
		})
	}
	in := parcel{"7", 9.5}
	best := func(err error) (parcel, error) {
		var rve *validation.RetryValidationError
		if !validation.As(err, &rve) {
			return parcel{}, err
		}
		return validation.Best(rve, func(p parcel) float64 { return p.Weight })
	}
	t.Run("workflow", func(t *testing.T) {
		t.Parallel()
		var seen []parcel
		weigh := weighing(&seen)
		env := testsuite.NewWorkflowEnvironment(t).SetDataConverter(dc)
		testsuite.RegisterFunc(t, env, weigh)
		env.ExecuteWorkflow(func(ctx workflow.Context) (parcel, error) {
			_, err := weigh.Execute(ctx, in).Get(ctx)
			return best(err)
		})
		var out parcel
		require.NoError(t, env.GetWorkflowResult(&out))
		assert.Equal(t, parcel{"7", 3}, out)
		assert.Equal(t, []parcel{in, in, in}, seen)
	})
	t.Run("activity", func(t *testing.T) {
		t.Parallel()
		var seen []parcel
		weigh := weighing(&seen)
		env := testsuite.NewActivityEnvironment(t).SetDataConverter(dc)
		testsuite.RegisterFunc(t, env, weigh)
		_, err := env.ExecuteActivity(weigh.ActivityType(), in)
		out, err := best(err)
		require.NoError(t, err)
		assert.Equal(t, parcel{"7", 3}, out)
		assert.Equal(t, []parcel{in, in, in}, seen)
	})
}
