// Package mutation proves that the crash table can fail: it breaks the engine
// in known ways, each a change in testdata, and demands that cells notice.
package mutation

import (
	"context"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/testsuite/devserver"
)

// mutation is what notices a change.
type mutation struct {
	// cells are those that must fail, how often they run, and what one of them
	// must say.
	cells  string
	rounds int
	says   string
}

const (
	bodies  = "bodies started"
	lateFor = "the call never waited for the limit"
	kept    = "the next call must get what this one held"
	waits   = "a record whose answer is waited for keeps what its attempt requires"
	misread = "a body has read as its own heartbeat details what no body has left"

	killedInside = "TestCrashTable/SIGKILL_in_a_later_body/while_the_body_runs/1_"
	waitsHere    = "/while_waiting_for_a_limit$"
	waitsServer  = "/while_waiting_for_a_limit_on_the_server"
	rolledBack   = "TestCrashTable/a_worker_without_the_plugin_in_between/while_waiting_on_the_server"
	undecoded    = "TestCrashTable/codec_fails_to_decode$/before_the_first_attempt"
)

// mutations are by what the engine then does, or leaves.
var mutations = map[string]mutation{
	// Records.
	"record-skipped":          {killedInside, 1, bodies},
	"later-start-unrecorded":  {"TestCrashTable/request_comes_twice,_SIGKILL/at_the_hand-back/1_", 1, bodies},
	"count-from-info-attempt": {killedInside, 1, bodies},
	"fence-ignored":           {"TestCrashTable/SIGSTOP/while_waiting_in_place/1_", 1, bodies},
	"unfit-ignored":           {"TestCrashTable/request_comes_late,_SIGKILL/while_the_body_runs/[15]_", 1, bodies},
	"record-takes-no-turn":    {"TestCrashTable/request_late,_client_hears_nothing,_SIGKILL", 1, bodies},

	// Hand-backs, and what earlier server attempts have left.
	"hand-back-without-journal":      {"TestCrashTable/reset_by_an_operator/while_the_body_runs/1_", 1, bodies},
	"unrecorded-is-none":             {"TestCrashTable/^SIGKILL$/while_waiting_in_place/1_", 1, bodies},
	"undecoded-arguments-are-a-body": {undecoded + "/0_", 1, bodies},
	"journal-of-others-dropped":      {rolledBack + "/5_", 1, bodies},
	"journal-read-by-others":         {rolledBack + "/1_", 1, misread},

	// Codecs that fail for a while.
	"undecoded-arguments-end-call": {undecoded + "/1_", 1, bodies},
	"undecoded-journal-ends-call":  {"TestCrashTable/codec_fails_to_decode_what_workers_have_encoded", 1, bodies},
	"unencoded-record-ends-call":   {"TestCrashTable/codec_fails_to_encode/while_waiting_in_place/1_", 1, bodies},

	// Sessions.
	"sessions-unfinished": {"TestCrashTable/session's_worker_shut_down,_body_has_its_time", 1, bodies},
	"session-answers":     {"TestCrashTable/the_session's_worker_is_shut_down/while_the_body_runs/0_", 1, bodies},

	// Limits.
	"limit-kept":                   {"TestCrashTable/cancellation/while_the_body_runs/1_", 1, kept},
	"limit-kept-while-waiting":     {"TestCrashTable/call_timeout" + waitsHere + "/1_", 1, lateFor},
	"limit-kept-while-recording":   {"TestCrashTable/request_lost,_client_hears_nothing/at_the_record/1_", 1, waits},
	"limit-wait-counted":           {"TestCrashTable/worker_shut_down" + waitsHere + "/1_", 1, bodies},
	"limit-wait-unrecorded":        {"TestCrashTable/^SIGKILL$" + waitsHere + "/0_", 1, bodies},
	"limit-wait-never-handed-back": {"TestCrashTable/call_timeout" + waitsServer, 1, lateFor},
	"limit-wait-unfenced":          {"TestCrashTable/connection_cut" + waitsHere + "/0_", 2, bodies},
}

// The engine moves on, and this fails before anybody runs the whole table.
func TestChangesApply(t *testing.T) {
	t.Parallel()
	for name, file := range changes(t) {
		build := []string{"build", "-overlay=" + overlay(t, name)}
		for _, h := range hunks(t, file) {
			build = append(build, "../../"+path.Dir(h.file))
		}
		command := exec.CommandContext(t.Context(), "go", build...)
		command.Env = append(os.Environ(), "GOWORK=off")
		out, err := command.CombinedOutput()
		assert.NoError(t, err, "%s: %s", name, out)
	}
}

func TestBrokenEnginesFailTheCrashTable(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short leaves no time to run the crash table on each broken engine; make test-fire does")
	}
	program, err := devserver.Find(t.Context(), os.Stderr)
	require.NoError(t, err)
	for name := range changes(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := mutations[name]
			out, err := play(t, program, m, "-overlay="+overlay(t, name))
			require.Error(t, err, "no cell noticed\n%s", out)
			assert.Contains(t, out, m.says, "it failed for another reason\n%s", out)
		})
	}
	t.Run("unbroken", func(t *testing.T) {
		t.Parallel()
		out, err := play(t, program, mutation{cells: unbroken(), rounds: 1})
		require.NoError(t, err, "%s", out)
	})
}

// play runs the cells of a mutation.
func play(t *testing.T, program string, m mutation, flags ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	args := slices.Concat([]string{"test", "./fire", "-run", m.cells, "-count=1", "-vet=off", "-parallel=4", "-fire.table", "-fire.rounds=" + strconv.Itoa(m.rounds)}, flags)
	run := exec.CommandContext(ctx, "go", args...)
	run.Dir = ".."
	run.Env = append(os.Environ(), "GOWORK=off", devserver.EnvPath+"="+program)
	out, err := run.CombinedOutput()
	return string(out), err
}

// unbroken are all cells that notice anything: without a change they pass.
func unbroken() string {
	var all []string
	for _, m := range mutations {
		if !slices.Contains(all, m.cells) {
			all = append(all, m.cells)
		}
	}
	return strings.Join(all, "|")
}
