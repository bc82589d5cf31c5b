import Basics
import CoreMetrics
import Crypto
import Events
import Evidence
import Foundation
import Gateway
import Link
import Logging
import Store

/// Answers the AW Gateway's questions about Hosts, and records what it tells.
public struct FleetGatekeeper: GatewayDelegate {
  let node: NodeID
  let store: Store
  let evidence: EvidenceLog
  let outbox: EventOutbox
  let clock: WallClock
  let logger: Logger
  let counters: FleetCounters
  let changed: @Sendable (HostID) -> Void
  private let told: @Sendable (Heartbeat, HostID) -> Void
  private let secrets: @Sendable (SecretQuestion, HostID) async -> SecretAnswer

  /// - Parameters:
  ///   - node: this control plane, among those whose links the database knows.
  ///   - changed: told after every commit, for live pages.
  ///   - told: given what a Connector tells of its Instances.
  ///   - secrets: answers an Instance of the Host that asks for its secrets.
  public init(
    node: NodeID, store: Store, evidence: EvidenceLog, outbox: EventOutbox, metrics: any MetricsFactory,
    clock: WallClock, logger: Logger, changed: @escaping @Sendable (HostID) -> Void,
    told: @escaping @Sendable (Heartbeat, HostID) -> Void,
    secrets: @escaping @Sendable (SecretQuestion, HostID) async -> SecretAnswer
  ) {
    self.node = node
    self.store = store
    self.evidence = evidence
    self.outbox = outbox
    self.clock = clock
    self.logger = logger
    counters = FleetCounters(factory: metrics)
    self.changed = changed
    self.told = told
    self.secrets = secrets
  }

  static let actor = "system/aw-gateway"

  public func enrol(_ request: EnrolmentRequest, with authorities: Authorities) async throws -> EnrolmentGrant {
    let now = clock.now
    try Self.checkClock(request.clock, now: now)
    let hash = SHA256.hex(Data(request.token.utf8))
    return try await store.write { tx in
      let row = try FleetRecords.enrolment(hash: hash, in: tx)
      try Self.check(row, now: now)
      guard let row, var host = try FleetRecords.host(row.host, in: tx) else { throw Self.unknownTicket }
      // One that enrols again stays drained if it was.
      if host.state == .invited { host.state = .active }
      host.machine = request.machine
      host.program = request.program
      let bundle = try authorities.signHost(host.id, request: request.signingRequest, at: now)
      try FleetRecords.useEnrolment(hash: hash, at: now, in: tx)
      try FleetRecords.save(host, in: tx)
      try record(.hostEnrolled, host, ["machine": .string(request.machine)], at: now, in: tx)
      return EnrolmentGrant(host: host.id, slug: host.slug, bundle: bundle)
    }
  }

  /// Whether a token may still be redeemed: a pure decision.
  static func check(_ row: FleetRecords.EnrolmentRow?, now: Timestamp) throws(AWError) {
    guard let row else { throw unknownTicket }
    if let usedAt = row.usedAt {
      throw AWError(
        .enrolmentUsed, "This enrolment ticket was used at \(usedAt).", next: "Get a new line: 'aw host enroll'.")
    }
    guard now <= row.expiresAt else {
      throw AWError(
        .enrolmentExpired, "This enrolment ticket expired at \(row.expiresAt).",
        next: "Get a new line: 'aw host enroll'.")
    }
  }

  private static var unknownTicket: AWError {
    AWError(
      .enrolmentInvalid, "This control plane gave out no such enrolment ticket.",
      next: "Get a new line: 'aw host enroll'.")
  }

  static func checkClock(_ theirs: Timestamp, now: Timestamp) throws(AWError) {
    let skew = theirs.since(now)
    let size = skew.magnitude
    guard size <= LinkLimits.clockSkewMax else {
      throw AWError(
        .linkClockSkew,
        "The Host's clock is \(Int(size.seconds)) s \(skew > .zero ? "ahead of" : "behind") the control plane's.",
        next: "Set the clocks of both machines (NTP), then try again.")
    }
  }

  public func admit(_ hello: Hello, from host: HostID) async throws {
    try Self.checkClock(hello.clock, now: clock.now)
    guard try await store.read({ try FleetRecords.host(host, in: $0) }) != nil else {
      throw AWError(
        .hostUnknown, "This Host was removed from the control plane.",
        next: "Enrol the machine again if that was wrong.")
    }
  }

  public func renew(
    _ host: HostID, request: String, with authorities: Authorities
  ) async throws -> CertificateBundle {
    try authorities.signHost(host, request: request, at: clock.now)
  }

  public func trusting(_ host: HostID, _ report: TrustReport) async {
    let now = clock.now
    do {
      try await store.write { tx in
        guard try FleetRecords.host(host, in: tx) != nil else { return }
        try AuthorityRecords.save(report, of: host, at: now, in: tx)
      }
    } catch {
      // Its next Hello tells again.
      logger.error("whom a Host trusts could not be recorded", metadata: ["host": "\(host)", "error": "\(error)"])
    }
  }

  public func connected(_ host: HostID, _ hello: Hello, connections: @escaping @Sendable () -> Int) async {
    await update(host, .hostConnected) { host, now, tx in
      let count = try note(&host, connections: connections(), at: now, in: tx)
      host.program = hello.program
      host.runtimes = hello.runtimes
      try account(for: &host, hello, at: now, in: tx)
      try AuthorityRecords.save(hello.trust, of: host.id, at: now, in: tx)
      try LossRecords.save(LossEvidence.Run(connector: hello.boot, kernel: hello.hostBoot), of: host.id, in: tx)
      return [
        "epoch": .integer(hello.epoch), "slot": .integer(Int64(hello.slot)), "connections": .integer(Int64(count)),
      ]
    }
  }

  /// Writes down how many connections the Host has here, and whether that gives it a link or takes the last one.
  ///
  /// - Returns: how many it has at all control planes together.
  private func note(_ host: inout Host, connections: Int, at now: Timestamp, in tx: Transaction) throws -> Int {
    try NodeRecords.save(connections: connections, of: host.id, at: node, in: tx)
    let all = try connections + NodeRecords.connections(of: host.id, besides: node, in: tx)
    let isLinked = host.connectedAt != nil && host.disconnectedAt == nil
    if all > 0, !isLinked {
      host.connectedAt = now
      host.disconnectedAt = nil
      try outbox.append(FleetEvents.connectionRestored(host, why: "is connected again", at: now), in: tx)
    }
    if all == 0, host.connectedAt != nil { host.disconnectedAt = host.disconnectedAt ?? now }
    return all
  }

  public func moved(_ host: HostID, connections: @escaping @Sendable () -> Int) async {
    await relink(host, connections: connections)
  }

  /// Brings the record of a Host's links here up to what is there: a connection went to another control plane on
  /// purpose, or what happened could not be recorded when it did.
  func relink(_ id: HostID, connections: @escaping @Sendable () -> Int) async {
    let now = clock.now
    do {
      try await store.write { tx in
        guard var host = try FleetRecords.host(id, in: tx) else {
          return try NodeRecords.deleteLink(of: id, at: node, in: tx)
        }
        let before = host
        let all = try note(&host, connections: connections(), at: now, in: tx)
        guard host != before else { return }
        try FleetRecords.save(host, in: tx)
        try record(
          all > 0 ? .hostConnected : .hostDisconnected, host, ["connections": .integer(Int64(all))], at: now, in: tx)
        tx.afterCommit { changed(id) }
      }
    } catch {
      logger.error("a Host's links could not be recorded", metadata: ["host": "\(id)", "error": "\(error)"])
    }
  }

  /// Joins what the Connector tells with what was seen here, and records the class again where that changes it.
  private func account(for host: inout Host, _ hello: Hello, at now: Timestamp, in tx: Transaction) throws {
    guard var loss = try LossRecords.open(of: host.id, slot: hello.slot, in: tx) else { return }
    let before = try loss.seen.run ?? LossRecords.run(of: host.id, in: tx)
    let account = PeerAccount(
      sameConnector: before?.connector == hello.boot, sameKernel: before?.kernel == hello.hostBoot,
      seen: hello.previousLoss)
    let changed = loss.recover(account, at: now)
    host.lastLoss = loss.verdict.lossClass.rawValue
    try LossRecords.save(loss, in: tx)
    tx.afterCommit { [counters, outage = now.since(loss.at)] in counters.recovered(after: outage) }
    guard changed, let first = loss.calledFirst else { return }
    let data: JSONValue = [
      "loss": .string(loss.id.text), "from": .string(first.rawValue), "to": .string(loss.verdict.lossClass.rawValue),
      "rule": .string(loss.verdict.rule.rawValue),
    ]
    try record(.lossReclassified, host, data, at: now, in: tx)
    try outbox.append(FleetEvents.reclassified(loss, from: first, host: host, at: now), in: tx)
  }

  public func resolve(_ question: SecretQuestion, for host: HostID) async -> SecretAnswer {
    await secrets(question, host)
  }

  public func heard(_ heartbeat: Heartbeat, from host: HostID) { told(heartbeat, host) }

  public func degraded(_ host: HostID, _ seen: LossEvidence) async {
    await update(host, .hostPathDegraded) { host, now, tx in
      let loss = Loss(id: .make(at: now), host: host.id, seen: seen, idleDeaths: [])
      try LossRecords.save(loss, in: tx)
      tx.afterCommit { [counters, verdict = loss.verdict] in counters.lost(verdict, seen) }
      return [
        "loss": .string(loss.id.text), "class": .string(loss.verdict.lossClass.rawValue),
        "slot": .integer(Int64(seen.slot ?? 0)), "detail": .string(seen.detail),
      ]
    }
  }

  public func mended(_ host: HostID, slot: Int) async {
    await update(host, .hostPathMended) { host, now, tx in
      try LossRecords.mend(host.id, slot: slot, at: now, in: tx)
      return ["slot": .integer(Int64(slot))]
    }
  }

  public func disconnected(
    _ host: HostID, _ seen: LossEvidence, connections: @escaping @Sendable () -> Int
  ) async {
    await lost(host, seen) { host, now, tx in try note(&host, connections: connections(), at: now, in: tx) }
  }

  private static func crash(at now: Timestamp) -> LossEvidence {
    LossEvidence(
      observer: .gateway, phase: .established, at: now, observerRestarted: true,
      detail: "the control plane ended without recording the end of its links")
  }

  /// Takes note of the links that this control plane had when it ended without a goodbye: nobody recorded their end.
  public func recordCrash() async throws {
    try await recordCrash(of: node)
    // What a release that knew of no other control plane left behind.
    let now = clock.now
    let left = try await store.read { tx in
      let links = try NodeRecords.links(in: tx)
      return try FleetRecords.linkedHosts(in: tx).filter { links[$0.id] == nil }
    }
    for host in left {
      await lost(host.id, Self.crash(at: now)) { host, now, tx in
        try LossRecords.mend(host.id, slot: nil, at: now, in: tx)
        host.disconnectedAt = host.disconnectedAt ?? now
        return 0
      }
    }
  }

  /// The same for a control plane that is gone: whoever finds it first records it.
  func recordCrash(of gone: NodeID) async throws {
    let now = clock.now
    for host in try await store.read({ try NodeRecords.hosts(linkedTo: gone, in: $0) }) {
      await lost(host, Self.crash(at: now)) { host, now, tx in
        guard try NodeRecords.hasLink(of: host.id, at: gone, in: tx) else { return nil }
        try NodeRecords.deleteLink(of: host.id, at: gone, in: tx)
        // Nobody measures that path any more.
        try LossRecords.mend(host.id, slot: nil, at: now, in: tx)
        let left = try NodeRecords.connections(of: host.id, besides: gone, in: tx)
        if left == 0 { host.disconnectedAt = host.disconnectedAt ?? now }
        return left
      }
    }
  }

  /// - Parameter leaves: writes down what is left of the Host's links, and answers how many; nil when another one has
  ///   recorded this loss.
  private func lost(
    _ host: HostID, _ seen: LossEvidence,
    _ leaves: @escaping @Sendable (inout Host, Timestamp, Transaction) throws -> Int?
  ) async {
    await update(host, .hostDisconnected) { host, now, tx in
      guard let left = try leaves(&host, now, tx) else { return nil }
      let earlier = try LossRecords.idleDeaths(of: host.id, in: tx)
      let loss = Loss(id: .make(at: now), host: host.id, seen: seen, idleDeaths: earlier)
      host.lastLoss = loss.verdict.lossClass.rawValue
      try LossRecords.save(loss, in: tx)
      tx.afterCommit { [counters, verdict = loss.verdict] in counters.lost(verdict, seen) }
      var data: [String: JSONValue] = [
        "loss": .string(loss.id.text), "class": .string(loss.verdict.lossClass.rawValue),
        "rule": .string(loss.verdict.rule.rawValue), "detail": .string(seen.detail),
        "connections": .integer(Int64(left)),
      ]
      if let slot = seen.slot { data["slot"] = .integer(Int64(slot)) }
      return .object(data)
    }
  }

  /// A transition that cannot be recorded does not undo itself: the link is up or down whatever the database says.
  /// The next transition writes the whole state again.
  private func update(
    _ id: HostID, _ kind: EvidenceKind,
    _ edit: @escaping @Sendable (inout Host, Timestamp, Transaction) throws -> JSONValue?
  ) async {
    let now = clock.now
    do {
      try await store.write { tx in
        guard var host = try FleetRecords.host(id, in: tx) else { return }
        guard let data = try edit(&host, now, tx) else { return }
        try FleetRecords.save(host, in: tx)
        try record(kind, host, data, at: now, in: tx)
        tx.afterCommit { changed(id) }
      }
    } catch {
      logger.error(
        "a Host's transition could not be recorded",
        metadata: ["host": "\(id)", "kind": "\(kind)", "error": "\(AWError.wrapping(error, doing: "Recording").chain)"])
    }
  }

  private func record(_ kind: EvidenceKind, _ host: Host, _ data: JSONValue, at now: Timestamp, in tx: Transaction)
    throws
  {
    try evidence.append(
      EvidenceEntry(kind: kind, at: now, actor: Self.actor, subject: host.subject, data: data), in: tx)
  }
}
