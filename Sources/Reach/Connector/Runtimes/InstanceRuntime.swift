import Basics
import Link

/// One way of running Instances on this Host. Every method may be called again after a crash at any point and then
/// finishes what was begun: they are idempotent.
///
/// Failures are `AWError`s whose text is safe for people; the codes are named at each method.
public protocol InstanceRuntime: Sendable {
  var kind: RuntimeKind { get }

  /// Takes up what an earlier Connector left: adopts the Instances that run, starts those that should, ends those
  /// that should not. Called when the Connector begins; every other call does it first when it was not done.
  func resume() async throws

  /// Ends every Instance that runs, and leaves what each is asked to be: the next Connector starts those that should.
  /// Nothing is started after it. Never throws: what did not end is told in the log.
  func halt() async

  /// Whether this runtime can be used now. Never throws: what is missing is the answer.
  func availability() async -> RuntimeAvailability

  /// Makes directories, configuration, environment, port, and (docker) network and container, without starting.
  /// A prepared Instance that differs from `spec` is brought in line; a running one is left running.
  ///
  /// - Throws: `runtimeUnavailable`, `runtimeProgramMissing`, `runtimeImageMissing`, `runtimePortTaken`,
  ///   `runtimeDiskFull`, `runtimeFailed`.
  func prepare(_ spec: InstanceSpec, environment: [String: Secret]) async throws -> RunState

  /// Starts a prepared Instance; one that runs stays as it is. Forgets earlier exits, 78 included.
  func start(_ instance: InstanceID) async throws -> RunState

  /// Stops with SIGTERM and waits up to 30 s (OpenClaw's own shutdown takes up to 25 s) before SIGKILL.
  /// It stays stopped, over restarts of the Connector too.
  func stop(_ instance: InstanceID) async throws -> RunState

  /// What is there now; `absent` for an Instance this Host does not know.
  func inspect(_ instance: InstanceID) async throws -> RunState

  /// Stops and removes everything but the data. With `purge` the data goes too. Removing what is absent succeeds.
  /// The returned state's `dataDirectory` tells where kept data lies, nil when none is left.
  func remove(_ instance: InstanceID, purge: Bool) async throws -> RunState

  /// The last `lines` lines of the Instance's output, oldest first.
  func logs(_ instance: InstanceID, lines: Int) async throws -> [String]

  /// Runs `openclaw devices approve REQUEST` inside the Instance: how AW's own device gets paired when the Gateway
  /// does not see it as local.
  func approveDevice(_ instance: InstanceID, request: String) async throws

  /// Every Instance of which this runtime holds anything that runs or is installed.
  func instances() async throws -> [InstanceID]

  /// What supervision knows now of every Instance of this runtime. Asked every second: nothing is looked for.
  func states() async throws -> [InstanceID: RunState]
}

extension InstanceRuntime {
  /// A runtime that keeps nothing over restarts has nothing to take up.
  public func resume() async throws {}

  /// A runtime that starts nothing on its own has nothing to end.
  public func halt() async {}

  /// A runtime that supervises nothing has to look.
  public func states() async throws -> [InstanceID: RunState] {
    var states: [InstanceID: RunState] = [:]
    for instance in try await instances() { states[instance] = try await inspect(instance) }
    return states
  }
}
