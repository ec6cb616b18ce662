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

	killedInside = "TestCrashTable/SIGKILL_in_a_later_body"
	waitsHere    = "/while_waiting_for_a_limit$"
	waitsServer  = "/while_waiting_for_a_limit_on_the_server"
)

var mutations = map[string]mutation{
	"record-skipped.patch":               {killedInside, 3, bodies},
	"count-from-info-attempt.patch":      {killedInside, 3, bodies},
	"fence-ignored.patch":                {"TestCrashTable/SIGSTOP/while_waiting_in_place", 3, bodies},
	"limit-kept.patch":                   {"TestCrashTable/cancellation/while_the_body_runs/1_", 1, kept},
	"limit-kept-while-waiting.patch":     {"TestCrashTable/call_timeout" + waitsHere + "/1_", 1, lateFor},
	"limit-wait-counted.patch":           {"TestCrashTable/worker_shut_down" + waitsHere, 1, bodies},
	"limit-wait-unrecorded.patch":        {"TestCrashTable/SIGKILL" + waitsHere, 3, bodies}, // unless a heartbeat has recorded it
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
			run := exec.CommandContext(ctx, "go", "test", "./fire", "-run", m.cells, "-count=1", "-fire.table", "-fire.rounds="+strconv.Itoa(m.rounds))
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
