module github.com/concurry-go/concurry/bench

go 1.26.0

replace github.com/concurry-go/concurry => ../

require github.com/concurry-go/concurry v0.0.0-00010101000000-000000000000

require (
	github.com/avast/retry-go/v5 v5.1.1 // indirect
	github.com/cenkalti/backoff/v5 v5.0.3 // indirect
	github.com/failsafe-go/failsafe-go v0.9.8 // indirect
	github.com/sethvargo/go-retry v0.5.0 // indirect
)
