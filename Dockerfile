# podssh-workspace: the image development containers are built FROM (see image/examples).
# Needs BuildKit, which builds only the stages that are used.
ARG BASE_IMAGE=ubuntu:24.04
ARG RUST_IMAGE=rust:1.95-bookworm
# `build` compiles podssh; `prebuilt` takes target/release/podssh as it is.
ARG BIN_STAGE=build
# `plain`; `sudo`, where jovyan may become root; `cuda`, which looks for a toolkit in /usr/local/cuda.
ARG FLAVOUR=plain

FROM ${RUST_IMAGE} AS build
WORKDIR /src
COPY . .
RUN patches/apply && cargo portable && cp target/release/podssh /podssh

FROM scratch AS prebuilt
COPY target/release/podssh /podssh

FROM ${BIN_STAGE} AS binary

# `docker build --target podssh`: the program alone, for init containers (manifests/overlays/inject).
FROM scratch AS podssh
COPY --from=binary /podssh /usr/local/bin/podssh
ENTRYPOINT ["/usr/local/bin/podssh"]

FROM ${BASE_IMAGE} AS plain
LABEL org.opencontainers.image.title="podssh-workspace" \
      org.opencontainers.image.licenses="Apache-2.0"

# One layer of tools: what a shell user, git, VS Code's and JetBrains' servers (the X libraries) expect.
# No openssh-server: podssh takes its place. The same names exist in Debian 12, 13 and Ubuntu 24.04.
# The dpkg excludes of minimised images would drop the man pages. Versions are the base image's.
# hadolint ignore=DL3008
RUN rm -f /etc/dpkg/dpkg.cfg.d/excludes \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      bash-completion bind9-dnsutils bzip2 ca-certificates curl file fontconfig git git-lfs gnupg htop \
      iproute2 iputils-ping jq less libfreetype6 libnss-extrausers libstdc++6 libxext6 libxi6 \
      libxrender1 libxtst6 locales lsof man-db nano ncurses-term netbase netcat-openbsd openssh-client \
      procps psmisc python3 python3-pip python3-venv rsync strace sudo tmux tzdata unzip vim-tiny wget \
      xauth xz-utils zip zstd \
 && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /var/cache/ldconfig

# jovyan, uid 1000 and gid 100 as in docker-stacks, takes the place of a stock user `ubuntu`. No
# password fits `*`. The home is writable for group 0 too: OpenShift runs any uid with that group.
# In a cluster a volume covers the home, so nothing that an image installs may live in it. Such a uid has
# no passwd entry: users are looked for in /var/lib/extrausers too (none below 500 counts there, so nobody
# becomes root by it), where podssh puts one by way of /run/podssh; /etc/passwd stays root's.
RUN if getent passwd ubuntu >/dev/null; then userdel --force --remove ubuntu; fi \
 && if getent group ubuntu >/dev/null; then groupdel ubuntu; fi \
 && useradd --no-log-init --uid 1000 --gid 100 --password '*' --create-home --shell /bin/bash jovyan \
 && chown -R jovyan:0 /home/jovyan \
 && chmod -R g=u /home/jovyan \
 && install -d /etc/podssh/authorized_keys /etc/podssh/host_keys /etc/podssh/init.d /etc/podssh/skel \
 && install -d -o jovyan -g 0 -m 0770 /run/podssh \
 && install -d /var/lib/extrausers \
 && ln -sf /run/podssh/passwd /var/lib/extrausers/passwd \
 && sed -i '/extrausers/!s/^passwd:.*/& extrausers/' /etc/nsswitch.conf

COPY image/etc/ /etc/

ENV LANG=C.UTF-8 \
    SHELL=/bin/bash \
    HOME=/home/jovyan \
    NB_USER=jovyan \
    NB_UID=1000 \
    NB_GID=100

EXPOSE 2222 9090
STOPSIGNAL SIGTERM
WORKDIR /home/jovyan
ENTRYPOINT ["/usr/local/bin/podssh", "serve"]
# A child image's CMD becomes podssh's supervised side process; this image has none.
CMD []

# Root for the asking: no cluster that enforces Pod Security `restricted` lets it work, and none should
# without user namespaces (hostUsers: false). podssh itself runs as jovyan all the same.
FROM plain AS sudo
RUN echo 'jovyan ALL=(ALL:ALL) NOPASSWD:ALL' >/etc/sudoers.d/podssh \
 && chmod 0440 /etc/sudoers.d/podssh

# The driver's libraries come with the node's container runtime, the toolkit with a child image.
FROM plain AS cuda
ENV PATH=/usr/local/cuda/bin:${PATH} \
    LD_LIBRARY_PATH=/usr/local/cuda/lib64 \
    CUDA_HOME=/usr/local/cuda \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

# hadolint ignore=DL3006
FROM ${FLAVOUR}
# Last, so that a new podssh is one small layer to pull.
COPY --from=binary /podssh /usr/local/bin/podssh
USER 1000:100
