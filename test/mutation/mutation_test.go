// Package mutation proves that the crash table can fail: it breaks the engine
// in known ways, each a patch in testdata, and demands that cells notice.
package mutation

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/testsuite/devserver"
)

// mutation is what notices a patch.
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
	"record-skipped.patch":          {killedInside, 1, bodies},
	"later-start-unrecorded.patch":  {"TestCrashTable/request_comes_twice,_SIGKILL/at_the_hand-back/1_", 1, bodies},
	"count-from-info-attempt.patch": {killedInside, 1, bodies},
	"fence-ignored.patch":           {"TestCrashTable/SIGSTOP/while_waiting_in_place/1_", 1, bodies},
	"unfit-ignored.patch":           {"TestCrashTable/request_comes_late,_SIGKILL/while_the_body_runs/[15]_", 1, bodies},
	"record-takes-no-turn.patch":    {"TestCrashTable/request_late,_client_hears_nothing,_SIGKILL", 1, bodies},

	// Hand-backs, and what earlier server attempts have left.
	"hand-back-without-journal.patch":      {"TestCrashTable/reset_by_an_operator/while_the_body_runs/1_", 1, bodies},
	"unrecorded-is-none.patch":             {"TestCrashTable/^SIGKILL$/while_waiting_in_place/1_", 1, bodies},
	"undecoded-arguments-are-a-body.patch": {undecoded + "/0_", 1, bodies},
	"journal-of-others-dropped.patch":      {rolledBack + "/5_", 1, bodies},
	"journal-read-by-others.patch":         {rolledBack + "/1_", 1, misread},

	// Codecs that fail for a while.
	"undecoded-arguments-end-call.patch": {undecoded + "/1_", 1, bodies},
	"undecoded-journal-ends-call.patch":  {"TestCrashTable/codec_fails_to_decode_what_workers_have_encoded", 1, bodies},
	"unencoded-record-ends-call.patch":   {"TestCrashTable/codec_fails_to_encode/while_waiting_in_place/1_", 1, bodies},

	// Sessions.
	"sessions-unfinished.patch": {"TestCrashTable/session's_worker_shut_down,_body_has_its_time", 1, bodies},
	"session-answers.patch":     {"TestCrashTable/the_session's_worker_is_shut_down/while_the_body_runs/0_", 1, bodies},

	// Limits.
	"limit-kept.patch":                   {"TestCrashTable/cancellation/while_the_body_runs/1_", 1, kept},
	"limit-kept-while-waiting.patch":     {"TestCrashTable/call_timeout" + waitsHere + "/1_", 1, lateFor},
	"limit-kept-while-recording.patch":   {"TestCrashTable/request_lost,_client_hears_nothing/at_the_record/1_", 1, waits},
	"limit-wait-counted.patch":           {"TestCrashTable/worker_shut_down" + waitsHere + "/1_", 1, bodies},
	"limit-wait-unrecorded.patch":        {"TestCrashTable/^SIGKILL$" + waitsHere + "/0_", 1, bodies},
	"limit-wait-never-handed-back.patch": {"TestCrashTable/call_timeout" + waitsServer, 1, lateFor},
	"limit-wait-unfenced.patch":          {"TestCrashTable/connection_cut" + waitsHere + "/0_", 2, bodies},
}

// The engine moves on, and this is told before anybody runs the whole table.
func TestPatchesApply(t *testing.T) {
	t.Parallel()
	for _, patch := range patches(t) {
		git(t, "../..", "apply", "--check", patch)
	}
}

func TestBrokenEnginesFailTheCrashTable(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes minutes")
	}
	program, err := devserver.Find(t.Context(), os.Stderr)
	require.NoError(t, err)
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	for _, patch := range append(patches(t), "") {
		name := filepath.Base(patch)
		if patch == "" {
			name = "unbroken"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, part := range []string{"go.mod", "go.sum", "activity", "internal", "limits", "retrypolicy", "validation", "worker", "testsuite", "test"} {
				copyTree(t, filepath.Join(root, part), filepath.Join(dir, part))
			}
			m := mutations[name]
			if patch == "" {
				m = mutation{cells: unbroken(), rounds: 1}
			} else {
				git(t, dir, "apply", patch)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			run := exec.CommandContext(ctx, "go", "test", "./fire", "-run", m.cells, "-count=1", "-vet=off", "-parallel=4", "-fire.table", "-fire.rounds="+strconv.Itoa(m.rounds))
			run.Dir = filepath.Join(dir, "test")
			run.Env = append(os.Environ(), "GOWORK=off", devserver.EnvPath+"="+program)
			out, err := run.CombinedOutput()
			if patch == "" {
				require.NoError(t, err, "%s", out)
				return
			}
			require.Error(t, err, "no cell noticed\n%s", out)
			assert.Contains(t, string(out), m.says, "it failed for another reason\n%s", out)
		})
	}
}

// patches are the files of all mutations.
func patches(t *testing.T) []string {
	t.Helper()
	dir, err := filepath.Abs("testdata")
	require.NoError(t, err)
	all, err := filepath.Glob(filepath.Join(dir, "*.patch"))
	require.NoError(t, err)
	require.Len(t, all, len(mutations))
	return all
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", args...)
	command.Dir = dir
	out, err := command.CombinedOutput()
	require.NoError(t, err, "where the engine has changed, make the patch anew\n%s", out)
}

// unbroken are all cells that notice anything: without a patch they pass.
func unbroken() string {
	var all []string
	for _, m := range mutations {
		if !slices.Contains(all, m.cells) {
			all = append(all, m.cells)
		}
	}
	return strings.Join(all, "|")
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o600)
	}))
}
