// Package worker hosts definitions on a Temporal worker.
//
//	w := worker.New(c, "llm", worker.Options{})
//	worker.Register(w, llm, &LLM{…})
//	worker.RegisterFunc(w, Charge)
//	w.RegisterWorkflow(Summarise)
//	err := w.Run(worker.InterruptCh())
//
// A program that has a worker already keeps it and adds one line, the plugin:
//
//	worker.Plugin(worker.Policies{"ChargeCard": activity.Options{Retry: …}})
package worker
