package devserver

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	// EnvPath names the variable that overrides where the program is.
	EnvPath = "CONCURRY_DEVSERVER"

	program    = "temporal-devserver"
	modulePath = "github.com/concurry-go/concurry/devserver"
	// kept is how long programs of other versions stay in the cache.
	kept = 14 * 24 * time.Hour
)

// Find returns the path of the server's program, the first there is of:
//
//  1. the path in the environment variable CONCURRY_DEVSERVER;
//  2. inside concurry's repository: temporal-devserver in the user's cache
//     directory, built from the sources here if it is not there yet. That
//     takes minutes the first time; progress goes to out, and processes that
//     want it at the same time wait for one build;
//  3. temporal-devserver on the PATH or among Go's installed programs, from
//     go install github.com/concurry-go/concurry/devserver/...@latest;
//  4. Temporal's own command line tool, temporal, on the PATH.
func Find(ctx context.Context, out io.Writer) (string, error) {
	if path := os.Getenv(EnvPath); path != "" {
		resolved, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("devserver: %s=%q: %w", EnvPath, path, err)
		}
		return resolved, nil
	}
	if source := findSource(); source != "" {
		return cached(ctx, source, out)
	}
	for _, name := range []string{program, filepath.Join(goBin(), program), "temporal"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("devserver: no server program found: run "+
		"\"go install %s/...@latest\", or install Temporal's command line tool, or set %s", modulePath, EnvPath)
}

// isOwn tells our program from Temporal's command line tool by its name.
func isOwn(path string) bool { return strings.HasPrefix(filepath.Base(path), program) }

func goBin() string {
	if dir := os.Getenv("GOBIN"); dir != "" {
		return dir
	}
	if dir := os.Getenv("GOPATH"); dir != "" {
		return filepath.Join(filepath.SplitList(dir)[0], "bin")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "."
	}
	return filepath.Join(home, "go", "bin")
}

// findSource looks for the devserver module beside the working directory and
// above it: tests and samples run inside the repository.
func findSource() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for {
		source := filepath.Join(dir, "devserver")
		if mod, err := os.ReadFile(filepath.Join(source, "go.mod")); err == nil &&
			strings.HasPrefix(string(mod), "module "+modulePath+"\n") {
			return source
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// cached returns the program built from source, building it if need be.
func cached(ctx context.Context, source string, out io.Writer) (string, error) {
	key, err := sourceKey(source)
	if err != nil {
		return "", fmt.Errorf("devserver: %w", err)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	base = filepath.Join(base, "concurry", "devserver")
	dir := filepath.Join(base, key)
	path := filepath.Join(dir, program)
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if _, err := os.Stat(path); err == nil {
		now := time.Now()
		_ = os.Chtimes(dir, now, now) // still in use: see sweep
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("devserver: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(base, "lock"), func() {
		_, _ = fmt.Fprintln(out, "devserver: the Temporal dev server is being built already; waiting for it")
	})
	if err != nil {
		return "", fmt.Errorf("devserver: %w", err)
	}
	defer unlock()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	sweep(base, key)
	if err := build(ctx, source, path, out); err != nil {
		return "", fmt.Errorf("devserver: %w", err)
	}
	return path, nil
}

// sourceKey names a build: the module's files, the toolchain and the platform.
func sourceKey(source string) (string, error) {
	h := sha256.New()
	_, _ = fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	err := filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		relative, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path) //nolint:gosec // the repository's own sources
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(h, "%s %d\n", filepath.ToSlash(relative), len(content))
		_, _ = h.Write(content)
		return nil
	})
	return hex.EncodeToString(h.Sum(nil))[:16], err
}

// sweep removes programs nobody has used for a while: each takes 150 MB.
func sweep(base, key string) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && e.IsDir() && e.Name() != key && time.Since(info.ModTime()) > kept {
			_ = os.RemoveAll(filepath.Join(base, e.Name()))
		}
	}
}

func build(ctx context.Context, source, path string, out io.Writer) error {
	gocmd, err := exec.LookPath("go")
	if err != nil {
		return fmt.Errorf("the Go command is needed to build the Temporal dev server: %w", err)
	}
	_, _ = fmt.Fprintf(out, "devserver: building the Temporal dev server, once for this version: about 5 minutes on two cores when nothing is cached\n"+
		"devserver: (to use a program you have: %s=/path/to/temporal)\n", EnvPath)
	start := time.Now()
	temporary := path + ".building"
	cmd := exec.CommandContext(ctx, gocmd, "build", "-v", "-ldflags=-s -w", "-o", temporary, "./cmd/"+program)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOWORK=off")
	pipe, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	last := report(pipe, out, start)
	if err := cmd.Wait(); err != nil {
		return errors.Join(fmt.Errorf("go build in %s: %w", source, err), errors.New(last))
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "devserver: built in %v: %s\n", time.Since(start).Round(time.Second), path)
	return nil
}

// report turns the go command's output into a line of progress now and then,
// and returns its last lines.
func report(pipe io.Reader, out io.Writer, start time.Time) string {
	const every = 15 * time.Second
	var packages, modules int
	var lines []string
	next := start.Add(every)
	scanner := bufio.NewScanner(pipe)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		line := scanner.Text()
		switch {
		case strings.HasPrefix(line, "go: downloading "):
			modules++
		case !strings.Contains(line, " "):
			packages++
		default:
			lines = append(lines, line)
		}
		if now := time.Now(); now.After(next) {
			next = now.Add(every)
			_, _ = fmt.Fprintf(out, "devserver: %v: %d modules downloaded, %d of about 2,000 packages compiled\n",
				now.Sub(start).Round(time.Second), modules, packages)
		}
	}
	_, _ = io.Copy(io.Discard, pipe)
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
