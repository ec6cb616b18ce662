// Command parity runs the conformance suite and holds docs/parity.md, the page
// of what it proves, against the result. Run it from the repository's root:
//
//	go run ./conformance/cmd/parity          fails if a row is not proven, or the page says something else
//	go run ./conformance/cmd/parity -write   writes the page
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/concurry-go/concurry/conformance"
	"github.com/concurry-go/concurry/conformance/internal/parity"
)

const (
	suite = "./conformance"
	page  = "docs/parity.md"
)

func main() {
	write := flag.Bool("write", false, "write "+page)
	flag.Parse()
	if err := run(context.Background(), *write, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "parity:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, write bool, out io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-timeout", "15m", "-parallel", "16", suite)
	cmd.Stderr = out
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	result, err := parity.Read(stdout, out)
	if waited := cmd.Wait(); err == nil && waited != nil && !result.Failed {
		err = waited
	}
	if err != nil {
		return err
	}
	if len(result.Tests) == 0 {
		return errors.New("no test of the suite was run")
	}
	p := parity.New(conformance.Outline(), result)
	proven, open, all := p.Count()
	fmt.Fprintf(out, "%d rows proven / %d rows in all, %d open\n", proven, all, open)
	if len(p.Problems) > 0 {
		var errs []error
		for _, problem := range p.Problems {
			errs = append(errs, errors.New(problem))
		}
		return errors.Join(errs...)
	}
	text := p.Markdown(conformance.Intro)
	if write {
		return os.WriteFile(page, []byte(text), 0o644) //nolint:gosec // documentation
	}
	stands, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	if string(stands) != text {
		return fmt.Errorf("%s is not what the suite proves; run make parity", page)
	}
	return nil
}
