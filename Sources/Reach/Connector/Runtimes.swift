import Basics
import Link
import Logging

/// The runtimes of this Host behind one door: answers the calls of the link, never with a raw error.
public actor Runtimes {
  private let runtimes: [RuntimeKind: any InstanceRuntime]
  private let tunnels: Tunnels?
  /// Answers Instances that ask for secrets; nil when this Host resolves none.
  nonisolated let secrets: SecretBroker?
  private let logger: Logger
  private var ports: [InstanceID: Int] = [:]

  /// - Parameter tunnels: the cloudflareds of this Host; nil runs none.
  public init(
    _ runtimes: [any InstanceRuntime], tunnels: Tunnels? = nil, secrets: SecretBroker? = nil, logger: Logger
  ) {
    self.tunnels = tunnels
    self.secrets = secrets
    self.runtimes = Dictionary(runtimes.map { ($0.kind, $0) }) { first, _ in first }
    self.logger = logger
  }

  public nonisolated func availability() async -> [RuntimeAvailability] {
    var answers: [RuntimeAvailability] = []
    for kind in RuntimeKind.allCases {
      guard let runtime = runtimes[kind] else { continue }
      var answer = await runtime.availability()
      if secrets != nil { answer.resolvesSecrets = answer.resolvesSecrets ?? true }
      answers.append(answer)
    }
    return answers
  }

  /// The loopback port of an Instance, from memory or by asking the runtimes.
  func port(of instance: InstanceID) async throws -> Int? {
    if let port = ports[instance] { return port }
    var failure: (any Error)?
    for runtime in runtimes.values {
      do {
        guard let port = try await runtime.inspect(instance).port else { continue }
        ports[instance] = port
        return port
      } catch {
        // Another runtime may hold it: one that is down must not hide it.
        failure = error
      }
    }
    if let failure { throw failure }
    return nil
  }

  /// Takes up what ran before this Connector did. A runtime that cannot do so now does it at its next call.
  func resume() async {
    await tunnels?.resume()
    for runtime in runtimes.values {
      do {
        try await runtime.resume()
      } catch {
        let shown = AWError.wrapping(error, doing: "Taking up Instances")
        logger.error(
          "a runtime could not be taken up", metadata: ["kind": "\(runtime.kind)", "error": "\(shown.chain)"])
      }
    }
  }

  /// How the cloudflared of each Instance is that has one.
  nonisolated func tunnelPhases() async -> [InstanceID: TunnelState.Phase] { await tunnels?.phases() ?? [:] }

  /// Ends what only lives with this Connector.
  func endTunnels() async { await tunnels?.close() }

  /// What supervision knows of every Instance on this Host. A runtime that cannot tell now is left out.
  nonisolated func states() async -> [InstanceID: RunState] {
    var states: [InstanceID: RunState] = [:]
    for runtime in runtimes.values {
      do {
        states.merge(try await runtime.states()) { first, _ in first }
      } catch {
        logger.debug("a runtime tells nothing now", metadata: ["kind": "\(runtime.kind)", "reason": "\(error)"])
      }
    }
    return states
  }

  /// Ends every Instance, and leaves what each is asked to be.
  func halt() async {
    await withTaskGroup(of: Void.self) { group in
      for runtime in runtimes.values { group.addTask { await runtime.halt() } }
    }
  }

  func answer(_ call: RuntimeCall) async -> RuntimeReply {
    do {
      return try await perform(call)
    } catch {
      let error = AWError.wrapping(error, doing: "The Host's runtime")
      logger.notice("a runtime call failed", metadata: ["reason": "\(error.chain)"])
      return .failed(Refused(error, retry: false))
    }
  }

  private func perform(_ call: RuntimeCall) async throws -> RuntimeReply {
    switch call {
    case .availability:
      return .availability(await availability())
    case .prepare(let spec, let environment):
      return remember(spec.instance, try await runtime(spec.runtime).prepare(spec, environment: environment.values))
    case .start(let kind, let instance):
      return remember(instance, try await runtime(kind).start(instance))
    case .stop(let kind, let instance):
      return remember(instance, try await runtime(kind).stop(instance))
    case .inspect(let kind, let instance):
      return remember(instance, try await runtime(kind).inspect(instance))
    case .remove(let kind, let instance, let purge):
      ports[instance] = nil
      try await tunnels?.endAll(of: instance)
      return .state(try await runtime(kind).remove(instance, purge: purge))
    case .logs(let kind, let instance, let lines):
      return .lines(try await runtime(kind).logs(instance, lines: lines))
    case .approveDevice(let kind, let instance, let request):
      try await runtime(kind).approveDevice(instance, request: request)
      return .done
    case .instances(let kind):
      return .instances(try await runtime(kind).instances())
    case .tunnel(let order):
      return .tunnel(try await carryOut(order))
    case .secrets(let answer):
      await secrets?.deliver(answer)
      return .done
    }
  }

  private func carryOut(_ order: TunnelOrder) async throws -> TunnelState {
    guard let tunnels else {
      throw AWError(
        .pathProgramMissing, "This Host runs no cloudflared for AW.", next: "Start its Connector with 'aw connect'.")
    }
    switch order {
    case .serve(let instance, let name, let hostname, let environment):
      guard let port = try await port(of: instance), let secret = environment.values[TunnelOrder.credentials] else {
        throw AWError(
          .conflict, "The Instance has no port on this Host yet, or no credentials came.", next: "Provision it first.")
      }
      return try await tunnels.serve(.init(instance, name), at: hostname, port: port, credentials: secret)
    case .end(let instance, let name):
      try await tunnels.end(.init(instance, name))
      return .absent
    case .look(let instance, let name):
      return await tunnels.look(.init(instance, name))
    }
  }

  private func remember(_ instance: InstanceID, _ state: RunState) -> RuntimeReply {
    ports[instance] = state.port
    return .state(state)
  }

  private func runtime(_ kind: RuntimeKind) throws -> any InstanceRuntime {
    guard let runtime = runtimes[kind] else {
      throw AWError(
        .runtimeUnavailable, "This Host does not offer the runtime '\(kind.rawValue)'.",
        next: "Start its Connector with that runtime, or choose another.")
    }
    return runtime
  }
}
