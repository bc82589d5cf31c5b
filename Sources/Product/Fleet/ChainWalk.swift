import Basics
import Foundation
import Gateway
import Link
import OpenClaw
import Paths
import Vault

/// Walks along the chain of one Instance and reports what each link showed. Never throws: a failure is a finding.
public struct ChainWalk: Sendable {
  let paths: ControlPaths
  let vault: Vault
  let clock: WallClock
  let version: String
  /// Where an Instance was prepared with less than its Org asks for now.
  let departure: @Sendable (Instance) async throws -> AWError?

  var gateway: AWGateway { paths.gateway }

  public init(
    paths: ControlPaths, vault: Vault, clock: WallClock, version: String,
    departure: @escaping @Sendable (Instance) async throws -> AWError? = { _ in nil }
  ) {
    self.paths = paths
    self.vault = vault
    self.clock = clock
    self.version = version
    self.departure = departure
  }

  static let runtimeDeadline = Duration.seconds(10)
  /// For one probe, and for a Gateway's greeting, when a healthy one takes milliseconds.
  static let answerDeadline = Duration.seconds(5)

  /// What a link showed: evidence, and what is not right with it, if anything.
  private struct Seen {
    var evidence: JSONValue
    var degraded: AWError?
  }

  /// - Parameters:
  ///   - links: what to look at, in the order of the chain.
  ///   - way: over which path; nil is the recorded one.
  ///   - acceptsVersion: AW asked for a start, so whatever release runs now is the one to run.
  ///   - patience: by how much the deadlines are longer than they are, when this control plane itself is slow.
  public func walk(
    _ instance: Instance, _ links: [ChainLink], by way: (any ControlWay)? = nil, acceptsVersion: Bool = false,
    patience: Double = 1
  ) async -> ChainReport {
    var results: [CheckResult] = []
    var client: GatewayClient?
    defer { client?.close() }
    let opening = OpeningTimes()
    let path: Result<any ControlWay, any Error>
    do { path = .success(try await given(way, instance)) } catch { path = .failure(error) }
    for link in links {
      let broken = results.contains { if case .failed = $0.outcome { true } else { $0.outcome == .skipped } }
      // A Gateway that answers and lets AW do too little leaves nothing to call it with.
      guard !broken, client != nil || (link != .health && link != .turn) else {
        results.append(.init(link: link, outcome: .skipped, at: clock.now, durationMilliseconds: 0, evidence: .null))
        continue
      }
      let started = ContinuousClock.now
      let outcome: CheckResult.Outcome
      var evidence = JSONValue.null
      do {
        let seen: Seen
        switch link {
        case .host: seen = try await look(along: path.get(), instance)
        case .runtime: seen = try await runtime(instance)
        case .live: seen = try await probe(.live, path.get(), patience)
        case .ready: seen = try await probe(.ready, path.get(), patience)
        case .hello:
          let opened = try await opening.during { try await hello(instance, path.get(), patience) }
          client = opened
          seen = try await greeting(opened, instance, acceptsVersion: acceptsVersion)
        case .health: seen = try await health(client)
        case .turn: seen = try await modelTurn(client)
        }
        evidence = seen.evidence
        outcome = seen.degraded.map { .degraded(CheckFailure($0)) } ?? .passed
      } catch let refusal as GatewayFailure where link == .hello && refusal.isOfOneThatIsReached {
        outcome = .degraded(CheckFailure(refusal.explained))
      } catch {
        if let failure = error as? PathFailure { evidence = failure.evidence }
        outcome = .failed(CheckFailure(AWError.wrapping(error, doing: "The check of '\(link.title)'")))
      }
      results.append(
        .init(
          link: link, outcome: outcome, at: clock.now,
          durationMilliseconds: (ContinuousClock.now - started).milliseconds,
          evidence: link == .hello ? CheckResult.noting(opening.noted, in: evidence) : evidence))
    }
    return ChainReport(results: results)
  }

  /// What the path itself shows. A link with a connection missing, or one on a bad path, is short of something, and
  /// leads there.
  private func look(along way: any ControlWay, _ instance: Instance) async throws -> Seen {
    Seen(
      evidence: try await way.look(), degraded: instance.usesLink ? gateway.shortcoming(of: instance.host) : nil)
  }

  private func given(_ way: (any ControlWay)?, _ instance: Instance) async throws -> any ControlWay {
    if let way { return way }
    return try await paths.way(to: instance)
  }

  private func runtime(_ instance: Instance) async throws -> Seen {
    // Only the link leads to the runtime; another path goes past it, and shows the rest of the chain without it.
    if !instance.usesLink, !gateway.isConnected(instance.host) {
      return Seen(
        evidence: .null,
        degraded: AWError(
          .hostOffline,
          "The Host has no link, so AW can neither look at the runtime nor start or stop it. "
            + "The rest is seen over \(instance.path.kind.rawValue).",
          next: "Check that its Connector runs and can reach the AW Gateway; it dials again by itself."))
    }
    let reply = try await gateway.call(
      .inspect(instance.runtime, instance.id), on: instance.host, deadline: Self.runtimeDeadline)
    guard case .state(let state) = reply else {
      throw AWError(.runtimeFailed, "The Host answered something else than a state.", next: "Update its Connector.")
    }
    guard state.phase == .running else { throw Self.notRunning(state) }
    return Seen(
      evidence: try JSONValue(encoding: state),
      degraded: state.departures.map(Self.departed)
        ?? (state.configurationDrifted == true ? Self.configurationDrifted : nil))
  }

  static func departed(_ paths: [String]) -> AWError {
    AWError(
      .gatewayDrifted, "What AW set on its Host was changed: \(paths.joined(separator: ", ")).",
      next: "Find out who changed it. 'aw instance restart' sets it again.")
  }

  static let configurationDrifted = AWError(
    .gatewayDrifted, "Its openclaw.json is no longer the one that AW last started it with.",
    next: "Somebody changed it on the Host or through OpenClaw. To accept it: 'aw instance restart'.")

  /// Why an Instance does not run, as a person reads it.
  static func notRunning(_ state: RunState) -> AWError {
    switch (state.phase, state.exitCode) {
    case (.exited, 78):
      AWError(
        .runtimeConfigRefused, "OpenClaw refused its configuration or state and ended with code 78.",
        next: "Read its last lines with 'aw instance logs'; it is not restarted by itself.")
    case (.exited, let code):
      AWError(
        .runtimeExited, "The Instance ended on its own\(Self.how(code, state)).",
        next: "Read its last lines with 'aw instance logs'.")
    case (.absent, _):
      AWError(.runtimeExited, "The Host has nothing of this Instance.", next: "Provision it again.")
    default:
      AWError(.runtimeExited, "The Instance is stopped.", next: "Start it with 'aw instance start'.")
    }
  }

  private static func how(_ code: Int32?, _ state: RunState) -> String {
    (code.map { " with code \($0)" } ?? "") + (state.outOfMemory ? ", out of memory" : "")
  }

  private func probe(_ probe: Probe, _ dialer: any ControlWay, _ patience: Double) async throws -> Seen {
    let answer = try await probe.ask(through: dialer, deadline: Self.answerDeadline * patience)
    let evidence: JSONValue = ["status": .integer(Int64(answer.status)), "path": .string(probe.rawValue)]
    switch probe.verdict(on: answer) {
    case .passed: return Seen(evidence: evidence)
    case .notReady(let failing):
      let what = failing.isEmpty ? "it does not say what" : failing.joined(separator: ", ")
      return Seen(
        evidence: evidence,
        degraded: AWError(
          .gatewayNotReady, "The Gateway says that it is not ready (\(what)).",
          next: "Look at the named part on the Instance, and at its log."))
    // It lives, or AW would not ask: whether it lets AW in is for the next link to say.
    case .wrong(let what) where probe == .ready:
      return Seen(
        evidence: evidence,
        degraded: AWError(
          .gatewayNotReady, "The Gateway does not say whether it is ready: \(what).",
          next: "Look for a proxy before it, and use a version of OpenClaw that this AW supports."))
    case .wrong(let what):
      throw AWError(
        .gatewayUnreachable, "What answers \(probe.rawValue) is not a healthy Gateway: \(what).",
        next: "Check what listens on the Instance's port.")
    }
  }

  private func hello(_ instance: Instance, _ dialer: any ControlWay, _ patience: Double) async throws -> GatewayClient {
    let secrets = InstanceSecrets(instance.id)
    let device = try DeviceIdentity(seed: try await vault.get(SecretReference(secrets.deviceSeed)))
    let token = try await vault.get(SecretReference(secrets.deviceToken))
    return try await GatewayClient.connect(
      through: dialer, credentials: .init(token: token, device: device), options: .control(version: version),
      deadline: Self.answerDeadline * patience)
  }

  /// Whether it is the same Gateway as at pairing, with the same release and the same scopes.
  private func greeting(_ client: GatewayClient, _ instance: Instance, acceptsVersion: Bool) async throws -> Seen {
    let device = try await client.call("gateway.identity.get")["deviceId"]?.stringValue
    let anonymous = try Self.anonymity(of: device, pinned: instance.gatewayDevice)
    let missing = Set(ConnectOptions.narrowestScopes).subtracting(client.hello.scopes)
    let evidence: JSONValue = [
      "gatewayDevice": device.map { .string($0) } ?? .null,
      "version": .string(client.hello.version), "protocol": .integer(client.hello.protocolVersion),
      "scopes": .array(client.hello.scopes.map { .string($0) }),
    ]
    guard missing.isEmpty else {
      return Seen(
        evidence: evidence,
        degraded: AWError(
          .gatewayRefused, "The Gateway gave AW's device fewer scopes than it was paired with.",
          next: "Its pairing was narrowed on the Instance; provision it again."))
    }
    if let anonymous { return Seen(evidence: evidence, degraded: anonymous) }
    if !acceptsVersion, let known = instance.version, known != client.hello.version {
      return Seen(
        evidence: evidence,
        degraded: AWError(
          .gatewayDrifted, "It runs OpenClaw \(client.hello.version), and AW last started it as \(known).",
          next: "It was upgraded without AW. To accept the release: 'aw instance restart \(instance.slug)'."))
    }
    return Seen(evidence: evidence, degraded: await settingsDeparture(instance))
  }

  /// Whether it is the Gateway that AW paired with, as far as it says who it is.
  ///
  /// - Returns: what is not right with one that does not say it.
  /// - Throws: `gatewayOtherIdentity`.
  static func anonymity(of device: String?, pinned: String?) throws(AWError) -> AWError? {
    guard let pinned, device != pinned else { return nil }
    guard device == nil else {
      throw AWError(
        .gatewayOtherIdentity, "Another Gateway answers on this Instance's port than the one that AW paired with.",
        next: "Find out what took its place on the Host. If its state was restored or made anew, provision it again.")
    }
    return AWError(
      .gatewayProtocol, "The Gateway does not say who it is, so AW cannot tell whether it is the one it paired with.",
      next: "Use a version of OpenClaw that this AW supports.")
  }

  /// What cannot be looked up says as little for an Instance as what is weaker than it should be.
  private func settingsDeparture(_ instance: Instance) async -> AWError? {
    do {
      return try await departure(instance)
    } catch {
      return AWError.wrapping(error, doing: "Reading what its Org's baseline asks for")
    }
  }

  private func health(_ client: GatewayClient?) async throws -> Seen {
    guard let client else { throw CancellationError() }
    let report = HealthReport(try await client.call("health"), gatewayNow: client.hello.gatewayTime)
    let evidence: JSONValue = ["findings": .array(report.findings.map { .string($0.what) })]
    guard report.degradations.isEmpty else {
      return Seen(
        evidence: evidence,
        degraded: AWError(
          .gatewayNotReady, "The health report names: \(report.degradations.joined(separator: "; ")).",
          next: "Look at the named parts on the Instance."))
    }
    return Seen(evidence: evidence)
  }

  private func modelTurn(_ client: GatewayClient?) async throws -> Seen {
    guard let client else { throw CancellationError() }
    let nonce = "aw-" + Hex.encode([UInt8].random(count: 6))
    let outcome = try await ModelTurn.run(on: client, nonce: nonce)
    return Seen(evidence: ["nonce": .string(nonce), "milliseconds": .integer(outcome.milliseconds)])
  }
}
