import Basics
import Link
import Vault

/// An authority as it is recorded. Its key is in the vault.
public struct KeptAuthority: Codable, Sendable, Equatable {
  public let fingerprint: String
  public let reference: SecretReference
  public let notAfter: Timestamp
}

/// How far one authority of the links has taken over from another: a value, kept in the database.
///
/// | phase | signs | is trusted | the next step | waits for every Host |
/// |---|---|---|---|---|
/// | steady | the present one | the present one | prepare: make the next one | - |
/// | prepared | the present one | the present one | dual-trust: tell the Connectors to trust both | - |
/// | dual-trust | the present one | both | switch: the next one signs | to trust the next one |
/// | switched | the next one | both | retire: the next one is the present one | to show a certificate of the next one |
///
/// A Host that is waited for is a laggard until it is done, or until an operator goes on without it by name.
///
/// Until the next one signs, a rotation can be abandoned: no certificate of it is out, so nothing has to be undone on a
/// Host but whom it trusts, and that is told again.
public struct AuthorityRotation: Codable, Sendable, Equatable {
  public enum Phase: String, Codable, Sendable, CaseIterable {
    case steady, prepared, switched
    case dualTrust = "dual-trust"
  }

  public enum Step: String, Codable, Sendable, CaseIterable {
    case prepare, retire
    case dualTrust = "dual-trust"
    case switchOver = "switch"
  }

  public private(set) var phase = Phase.steady
  public private(set) var present: KeptAuthority
  public private(set) var next: KeptAuthority?
  public private(set) var since: Timestamp
  /// The Hosts that an operator goes on without, in this rotation.
  public private(set) var without: [HostID] = []

  public init(present: KeptAuthority, since: Timestamp) {
    self.present = present
    self.since = since
  }

  public var step: Step {
    switch phase {
    case .steady: .prepare
    case .prepared: .dualTrust
    case .dualTrust: .switchOver
    case .switched: .retire
    }
  }

  /// The one that signs, then what else is trusted.
  public var inUse: [KeptAuthority] {
    switch phase {
    case .steady, .prepared: [present]
    case .dualTrust: [present] + (next.map { [$0] } ?? [])
    case .switched: (next.map { [$0] } ?? []) + [present]
    }
  }

  /// What an AW of these knows of; every other key of an authority in the vault is left over.
  public var kept: [KeptAuthority] { [present] + (next.map { [$0] } ?? []) }

  /// Whom the next step waits for.
  public func laggards(of hosts: [HostTrust]) -> [Laggard] {
    hosts.compactMap { host in
      guard !without.contains(host.id), let why = lack(of: host) else { return nil }
      return Laggard(host: host.slug, id: host.id, why: why, isConnected: host.isConnected)
    }
  }

  private func lack(of host: HostTrust) -> Laggard.Lack? {
    guard phase == .dualTrust || phase == .switched, let next else { return nil }
    guard let report = host.report else { return .untold }
    guard report.authorities.contains(next.fingerprint) else { return .untrusting }
    guard phase == .switched else { return nil }
    guard report.issuer == next.fingerprint else { return .oldCertificate }
    return host.showsOther ? .oldConnection : nil
  }

  /// Takes the next step.
  ///
  /// - Parameters:
  ///   - accepted: the Hosts that the operator goes on without.
  ///   - fresh: the authority that `prepare` puts up; no other step uses it.
  /// - Throws: `authorityLaggards`; `usage` for a Host that nothing waits for.
  /// - Returns: the step that was taken.
  @discardableResult
  public mutating func advance(
    with hosts: [HostTrust], without accepted: [Slug] = [], fresh: KeptAuthority?, at now: Timestamp
  ) throws(AWError) -> Step {
    let laggards = laggards(of: hosts)
    if let other = accepted.first(where: { slug in !laggards.contains { $0.host == slug } }) {
      throw AWError(
        .usage, "The step '\(step.rawValue)' does not wait for a Host named '\(other)'.",
        next: "See 'aw ca show' for whom it waits for.")
    }
    let waitedFor = laggards.filter { !accepted.contains($0.host) }
    guard waitedFor.isEmpty else { throw Self.refused(step, waitedFor) }
    without += laggards.map(\.id)
    let taken = step
    switch taken {
    case .prepare: (phase, next) = (.prepared, fresh)
    case .dualTrust: phase = .dualTrust
    case .switchOver: phase = .switched
    case .retire:
      (phase, present, next, without) = (.steady, next ?? present, nil, [])
    }
    since = now
    return taken
  }

  /// Forgets the next authority, as if it had never been.
  ///
  /// - Throws: `conflict` when there is no rotation, or when the next one signs already.
  /// - Returns: the authority that is not to be.
  @discardableResult
  public mutating func abandon(at now: Timestamp) throws(AWError) -> KeptAuthority {
    guard let next else {
      throw AWError(.conflict, "There is no rotation to abandon.", next: "See 'aw ca show'.")
    }
    guard phase != .switched else {
      throw AWError(
        .conflict, "The next authority signs already: Hosts have certificates of it.",
        next: "Finish with 'aw ca rotate'. If the new authority is not to stay, rotate again after that.")
    }
    (phase, self.next, without, since) = (.steady, nil, [], now)
    return next
  }

  static let laggardsNamedMax = 5

  private static func refused(_ step: Step, _ laggards: [Laggard]) -> AWError {
    let named = laggards.prefix(laggardsNamedMax).map { "\($0.host) (\($0.why.words))" }.joined(separator: ", ")
    let more = laggards.count > laggardsNamedMax ? " and \(laggards.count - laggardsNamedMax) more" : ""
    return AWError(
      .authorityLaggards, "The step '\(step.rawValue)' waits for \(laggards.count) of the Hosts: \(named)\(more).",
      next: "Connect them, and it goes on by itself what they lack. Or go on without one, which must then enrol "
        + "again: 'aw ca rotate --without \(laggards[0].host)'.")
  }
}

/// What is known of a Host's part in a rotation.
public struct HostTrust: Sendable, Equatable {
  public let id: HostID
  public let slug: Slug
  /// What its Connector told last; nil when it never did.
  public let report: TrustReport?
  public let isConnected: Bool
  /// It has a connection that was made with a certificate of another authority than the next one.
  public let showsOther: Bool
}

/// A Host that a step waits for.
public struct Laggard: Sendable, Equatable {
  public enum Lack: String, Codable, Sendable, CaseIterable {
    /// Its Connector has not told whom it trusts: it was not connected since, or its release is too old to.
    case untold
    case untrusting
    case oldCertificate = "old-certificate"
    case oldConnection = "old-connection"

    public var words: String {
      switch self {
      case .untold: "has not told whom it trusts"
      case .untrusting: "does not trust the next authority yet"
      case .oldCertificate: "has a certificate of the old authority"
      case .oldConnection: "has a connection that the old certificate made"
      }
    }
  }

  public let host: Slug
  public let id: HostID
  public let why: Lack
  public let isConnected: Bool
}
