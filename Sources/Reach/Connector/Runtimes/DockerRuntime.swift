import Basics
import Link
import Logging

/// Runs Instances as hardened containers of the Docker Engine on this Host, each in a network of its own.
///
/// The Connector supervises, not Docker: containers have no restart policy, because Docker would restart an Instance
/// that refused its configuration (exit 78) for ever. They go on running without the Connector; one that ends
/// meanwhile is started again by the next Connector. The engine keeps the environment of a container, secrets
/// included, in its own root-only files.
public struct DockerRuntime: InstanceRuntime {
  public let kind = RuntimeKind.docker
  private let keeper: InstanceKeeper

  /// - Parameters:
  ///   - socket: the engine's unix socket; Podman's compatible one works too.
  ///   - dataDirectory: the Connector's own; the Instances live in `instances/` below it.
  public init(
    socket: String = "/var/run/docker.sock", dataDirectory: String, policy: RuntimePolicy = .standard,
    clock: WallClock = .system, timers: any Clock<Duration> = ContinuousClock(), secrets: SecretSource? = nil,
    logger: Logger = Logger(label: "aw.runtime.docker")
  ) {
    let backend = DockerBackend(
      engine: DockerEngine(socket: socket), root: dataDirectory + "/instances", clock: clock, timers: timers,
      logger: logger)
    keeper = InstanceKeeper(
      backend: backend, dataDirectory: dataDirectory, policy: policy, clock: clock, timers: timers,
      secrets: secrets, logger: logger)
  }
}

extension DockerRuntime: KeptRuntime {
  var instanceKeeper: InstanceKeeper { keeper }
}
