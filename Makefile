# Two commands do all the set-up on a fresh machine: `make certify` and `make test`.

PYTHON ?= python3
VENV ?= .venv
REPORTS ?= reports
BIN := $(VENV)/bin
# What serves the LUNs and files of simulated arrays, and the initiators and NFS client that read them.
DATA_PACKAGES := tgt libiscsi-bin qemu-utils qemu-system-common qemu-block-extra nfs-ganesha nfs-ganesha-vfs libnfs13
# The virtual machine that attaches volumes, and what builds and serves it.
LAB_PACKAGES := qemu-system-x86 mmdebstrap busybox-static cpio kmod zstd e2fsprogs openssh-client iproute2

DEFECTS := tests/host/test_attach_saboteurs.py

.PHONY: certify test lint types layering check bench bench-cinder bench-cinderlib clean lab \
	test-oracle test-oracle-full test-cinder test-cinder-full test-host test-attach-checks

# The main job: certify a simulated OceanStor 5500 V5 over iSCSI and FC, write the report, print the grade.
certify: $(VENV)/.conformance
	tools/system-packages $(DATA_PACKAGES)
	$(BIN)/blockdrivers certify "OceanStor 5500 V5" --simulated --protocol iscsi --protocol fc --output $(REPORTS)/certify

# All checks of the code.
test: $(VENV)/.dev
	tools/system-packages chromium fonts-noto-cjk $(DATA_PACKAGES)
	$(MAKE) lint types layering check

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

layering:
	$(BIN)/lint-imports

# Tests wait for sockets and processes more than they compute: more of them than cores.
check:
	$(BIN)/pytest -n 4 --dist loadgroup tests --ignore tests/oracle --ignore tests/cinder --ignore tests/host

# The suite through the cinder package's own drivers, which sleep more than they work.
BRIDGED := tests/oracle/test_cinder_bridge.py

# Other people's clients against the simulators, in an environment of their own: drivers of the cinder package, vendors' SDKs.
test-oracle: $(VENV)/.dev $(VENV)-cinder/.installed
	tools/system-packages $(DATA_PACKAGES)
	BLOCKDRIVERS_CINDER_VENV=$(abspath $(VENV)-cinder) $(BIN)/pytest -n 2 --dist loadgroup tests/oracle --ignore $(BRIDGED)
	BLOCKDRIVERS_CINDER_VENV=$(abspath $(VENV)-cinder) $(BIN)/pytest -n 4 --dist worksteal $(BRIDGED)

# All that the suite can ask of other people's drivers: half an hour.
test-oracle-full: $(VENV)/.dev $(VENV)-cinder/.installed
	tools/system-packages $(DATA_PACKAGES)
	BLOCKDRIVERS_CINDER_VENV=$(abspath $(VENV)-cinder) $(BIN)/pytest -n 4 --dist worksteal $(BRIDGED) --full

# Our driver inside Cinder: its compliance tests, and real Cinder services on a simulated array with its bytes.
test-cinder: $(VENV)/.dev $(VENV)-cinder-service/.installed
	tools/system-packages $(DATA_PACKAGES)
	BLOCKDRIVERS_CINDER_SERVICE=$(abspath $(VENV)-cinder-service) $(BIN)/pytest tests/cinder --ignore tests/cinder/full

# The same services as in production, a process each with RabbitMQ and PostgreSQL, killed under load: a few minutes, by hand.
test-cinder-full: $(VENV)/.dev $(VENV)-cinder-service/.installed
	tools/system-packages $(DATA_PACKAGES) rabbitmq-server postgresql
	BLOCKDRIVERS_CINDER_SERVICE=$(abspath $(VENV)-cinder-service) $(BIN)/pytest -rP tests/cinder/full

# Volumes attached for real, by a virtual machine. Needs root: for a network of its own, and to build the machine's disk.
test-host: lab
	$(BIN)/pytest -n 2 --dist loadscope -rP tests/host --ignore $(DEFECTS) --timeout 600

# The checks of attached volumes, each tried on a defect that it has to catch: a quarter of an hour, for who changes them.
test-attach-checks: lab
	$(BIN)/pytest -n 2 --dist loadscope $(DEFECTS) --timeout 600

# What both need.
lab: $(VENV)/.dev
	tools/system-packages $(DATA_PACKAGES) $(LAB_PACKAGES)
	$(BIN)/python -m tests.host.lab.image

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

# The same work through Cinder with the cinder package's own driver and with ours.
bench-cinder: $(VENV)/.dev $(VENV)-cinder-service/.installed
	BLOCKDRIVERS_CINDER_SERVICE=$(abspath $(VENV)-cinder-service) $(BIN)/python -m benchmarks cinder

# The library alone, beside cinderlib: its last release, with the last oslo.utils that its drivers can be imported with.
bench-cinderlib: $(VENV)/.dev $(VENV)-cinderlib/.installed
	BLOCKDRIVERS_CINDERLIB=$(abspath $(VENV)-cinderlib) $(BIN)/python -m benchmarks cinderlib

$(VENV)/.conformance: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[conformance]'
	touch $@

$(VENV)/.dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@ $(VENV)/.conformance

$(VENV)-cinderlib/.installed: Makefile
	test -x $(VENV)-cinderlib/bin/python || $(PYTHON) -m venv $(VENV)-cinderlib
	$(VENV)-cinderlib/bin/python -m pip install --quiet --disable-pip-version-check 'cinderlib==5.2.0' 'oslo.utils<8'
	touch $@

$(VENV)-cinder/.installed: pyproject.toml
	test -x $(VENV)-cinder/bin/python || $(PYTHON) -m venv $(VENV)-cinder
	$(VENV)-cinder/bin/python -m pip install --quiet --disable-pip-version-check \
		'cinder==29.0.0' 'netapp-ontap==9.19.1.0' 'python-3parclient>=4.4,<5'
	touch $@

# What cinder's own tests import comes with it.
$(VENV)-cinder-service/.installed: pyproject.toml
	test -x $(VENV)-cinder-service/bin/python || $(PYTHON) -m venv $(VENV)-cinder-service
	$(VENV)-cinder-service/bin/python -m pip install --quiet --disable-pip-version-check -e . 'cinder==29.0.0' ddt oslotest testtools psycopg2-binary
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-cinder $(VENV)-cinder-service $(VENV)-cinderlib $(REPORTS) .cache
