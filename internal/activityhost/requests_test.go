package activityhost

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"
)

func TestConvertersAreToldWhatTheSDKTellsThem(t *testing.T) {
	t.Parallel()
	info := activity.Info{
		Namespace: "n", TaskQueue: "q", ActivityType: activity.Type{Name: "A"},
		WorkflowExecution: workflow.Execution{ID: "w"}, WorkflowType: &workflow.Type{Name: "W"},
	}
	own := converter.ActivitySerializationContext{Namespace: "n", WorkflowID: "w", WorkflowType: "W", ActivityType: "A", TaskQueue: "q"}
	assert.Equal(t, own, argumentsOf(&info))
	assert.Equal(t, own, serializationOf(&info))

	nexus := converter.NexusSerializationContext{Endpoint: "caller", Service: "s", Operation: "o"}
	info.NexusSerializationContext = &nexus
	assert.Equal(t, own, argumentsOf(&info), "arguments are the activity's own")
	assert.Equal(t, nexus, serializationOf(&info), "details and errors go to the operation's caller")
}
