import Basics
import Foundation
import Link
import Logging

/// Runs Instances as processes of this Host, supervised by the Connector and surviving it.
///
/// Each is `PROGRAM ARGUMENTS… gateway --port N --bind loopback` in a session of its own. When the Connector ends, or
/// is killed, the Instances go on; the next Connector finds them by the recorded process id and start time, or by
/// the markers in their environment. `InstanceSpec.limits` are not enforced here: that needs a cgroup for each, which
/// the Docker runtime has.
public struct ProcessRuntime: InstanceRuntime {
  public let kind = RuntimeKind.process
  private let keeper: InstanceKeeper

  /// - Parameters:
  ///   - dataDirectory: the Connector's own; the Instances live in `instances/` below it.
  ///   - program: the path or name of `openclaw`; nil looks for it on the search path at each start.
  ///   - programArguments: what goes between the program and `gateway`, such as a script for an interpreter.
  ///   - ownUser: runs each Instance as a system user of its own, made when missing; root only. Off by default:
  ///     it changes the Host's user database, and OpenClaw's plugins refuse directories of another owner, so that
  ///     data which ran without it must be given away first (which preparing does).
  public init(
    dataDirectory: String, program: String? = nil, programArguments: [String] = [], ownUser: Bool = false,
    searchPath: String? = nil, policy: RuntimePolicy = .standard, clock: WallClock = .system,
    timers: any Clock<Duration> = ContinuousClock(), secrets: SecretSource? = nil,
    logger: Logger = Logger(label: "aw.runtime.process")
  ) {
    let backend = ProcessBackend(
      program: program, programArguments: programArguments, ownUser: ownUser,
      searchPath: searchPath ?? ProcessInfo.processInfo.environment["PATH"] ?? Tool.standardPath, clock: clock,
      timers: timers)
    keeper = InstanceKeeper(
      backend: backend, dataDirectory: dataDirectory, policy: policy, clock: clock, timers: timers,
      secrets: secrets, logger: logger)
  }
}

extension ProcessRuntime: KeptRuntime {
  var instanceKeeper: InstanceKeeper { keeper }
}
