import Basics
import Link

/// A runtime whose calls `InstanceKeeper` answers.
protocol KeptRuntime: InstanceRuntime {
  var instanceKeeper: InstanceKeeper { get }
}

extension KeptRuntime {
  public func resume() async throws { try await instanceKeeper.resume() }
  public func halt() async { await instanceKeeper.halt() }
  public func availability() async -> RuntimeAvailability { await instanceKeeper.backend.availability() }

  public func prepare(_ spec: InstanceSpec, environment: [String: Secret]) async throws -> RunState {
    try await instanceKeeper.prepare(spec, environment: environment)
  }

  public func start(_ instance: InstanceID) async throws -> RunState { try await instanceKeeper.start(instance) }
  public func stop(_ instance: InstanceID) async throws -> RunState { try await instanceKeeper.stop(instance) }
  public func inspect(_ instance: InstanceID) async throws -> RunState { try await instanceKeeper.inspect(instance) }

  public func remove(_ instance: InstanceID, purge: Bool) async throws -> RunState {
    try await instanceKeeper.remove(instance, purge: purge)
  }

  public func logs(_ instance: InstanceID, lines: Int) async throws -> [String] {
    try await instanceKeeper.logs(instance, lines: lines)
  }

  public func approveDevice(_ instance: InstanceID, request: String) async throws {
    try await instanceKeeper.approveDevice(instance, request: request)
  }

  public func instances() async throws -> [InstanceID] { try await instanceKeeper.instances() }
  public func states() async throws -> [InstanceID: RunState] { try await instanceKeeper.states() }

  /// Waits until the Instance's state is as wanted; throws `CancellationError` when the task is cancelled first.
  func settled(_ instance: InstanceID, _ condition: @Sendable (RunState) -> Bool) async throws -> RunState {
    try await instanceKeeper.settled(instance, condition)
  }
}

extension InstanceKeeper {
  func settled(_ instance: InstanceID, _ condition: @Sendable (RunState) -> Bool) async throws -> RunState {
    try await until(instance) { _ in condition(state(instance)) }
    return state(instance)
  }
}
