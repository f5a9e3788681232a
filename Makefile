# Each target installs what it needs and may be the first one run on a fresh machine.
# CARGO_TARGET_DIR is not honoured: tests, demo and image take the binary from target/release.
.PHONY: build demo test bench soak fuzz sbom fmt clean

unexport CARGO_TARGET_DIR

build: ## the release binary, target/release/podssh
	@scripts/install build
	@patches/apply
	@cargo --quiet portable

demo: build ## a workspace behind a real gateway on this machine; DEMO_ARGS=--once proves it and ends
	@scripts/install demo
	@scripts/demo $(DEMO_ARGS)

test: ## everything; what cannot run counts as failed
	@scripts/test

bench: build ## podssh against OpenSSH's sshd; QUICK=1 takes minutes, ONLY=bulk,sftp some parts, SSHD=10 compares with OpenSSH 10
	@scripts/install bench
	@. scripts/env.sh && $$PODSSH_PYTHON tests/bench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY)) $(if $(SSHD),--sshd$(SSHD))

soak: ## the long versions of the fault tests, fuzzing, the release built twice; SOAK=30m for how long
	@scripts/soak $(SOAK)

fuzz: ## fuzzing alone; FUZZ=600 for ten minutes a target, a TARGET by its name in tests/fuzz
	@scripts/install test
	@patches/apply
	@. scripts/env.sh && PODSSH_FUZZ_SECONDS=$(or $(FUZZ),60) cargo test --locked --test fuzz -- --nocapture $(TARGET)

sbom: ## the bill of materials, target/podssh.cdx.json
	@patches/apply
	@mkdir -p target
	@scripts/sbom >target/podssh.cdx.json && echo target/podssh.cdx.json

fmt: ## format the code
	@patches/apply
	@cargo fmt

clean: ## what was built here; the tools below PODSSH_CACHE stay
	@rm -rf target
