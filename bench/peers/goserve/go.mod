// How the Go peers of bench/peers are driven: serve.py has the protocol.
module vai/bench/peers/goserve

go 1.26.0
