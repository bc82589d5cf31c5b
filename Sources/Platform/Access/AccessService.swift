import Basics
import Evidence
import Logging
import Store
import Synchronization

extension EvidenceKind {
  public static let signInLinkMade = EvidenceKind("operator.sign-in-link-made")
  public static let operatorInvited = EvidenceKind("operator.invited")
  public static let operatorSignedIn = EvidenceKind("operator.signed-in")
  public static let operatorSuspended = EvidenceKind("operator.suspended")
  public static let passwordSet = EvidenceKind("operator.password-set")
  public static let sessionEnded = EvidenceKind("session.ended")
  public static let tokenMade = EvidenceKind("token.made")
  public static let tokenRevoked = EvidenceKind("token.revoked")
}

/// A one-time link as its secret part: the console puts it into the fragment of a URL, which no server log sees.
public struct OneTimeLink: Sendable {
  public let `operator`: Operator
  /// 43 characters of base64url. It exists nowhere else. In a dry run it opens nothing.
  public let secret: Secret
  public let expiresAt: Timestamp
}

/// Operators, the ways in, sessions and API tokens. Every change of state is an act: see `Acts`.
public final class AccessService: Sendable {
  let store: Store
  let acts: Acts
  let clock: WallClock
  let limits: AccessLimits
  let hasher: PasswordHasher
  let logger: Logger
  let csrfKey: Secret
  let byName: Mutex<AttemptLimiter>
  let byAddress: Mutex<AttemptLimiter>

  /// - Parameter csrfKey: 32 random bytes or more that stay the same while sessions live.
  public init(
    store: Store, acts: Acts, csrfKey: Secret, clock: WallClock, logger: Logger,
    hasher: PasswordHasher = PasswordHasher(), limits: AccessLimits = .standard
  ) {
    self.store = store
    self.acts = acts
    self.csrfKey = csrfKey
    self.clock = clock
    self.logger = logger
    self.hasher = hasher
    self.limits = limits
    byName = Mutex(AttemptLimiter(limits.attemptsByName))
    byAddress = Mutex(AttemptLimiter(limits.attemptsByAddress))
  }

  // MARK: - Ways in

  /// Makes a sign-in link for the first owner, who is created by it, or for an owner who lost the password.
  ///
  /// Only for whoever has the machine: there is no actor to name, so no operator can take another one's place.
  ///
  /// - Parameter reason: the part of AW that asks, for the evidence: `setup`.
  /// - Throws: `conflict` when somebody else is the owner already, and what `Acts.perform` throws.
  public func signInLink(for name: Slug, reason: String, dryRun: Bool = false) async throws -> OneTimeLink {
    let once = OneTimeSecret.make()
    let lifetime = limits.signInLink
    let act = Act(.operatorInvite, kind: .signInLinkMade)
    return try await acts.perform(act, as: .system(reason), dryRun: dryRun) { tx, context in
      let person = try AccessService.owner(named: name, at: context.at, in: tx)
      context.subject = person.subject
      return try AccessService.makeLink(once, for: person, .signIn, lifetime: lifetime, at: context.at, in: tx)
    }
  }

  /// Invites somebody: the link lets them set the password of the new operator. Inviting again replaces the link.
  ///
  /// - Throws: `conflict` when the name is taken, and what `Acts.perform` throws.
  public func invite(
    _ name: Slug, role: OperatorRole, as actor: Actor, dryRun: Bool = false
  ) async throws -> OneTimeLink {
    let once = OneTimeSecret.make()
    let lifetime = limits.invitation
    let subject = EvidenceSubject(type: "operator", id: name.text, slug: name.text)
    let act = Act(.operatorInvite, kind: .operatorInvited, subject: subject, details: ["role": .string(role.rawValue)])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      let person = try AccessService.invited(name, role, at: context.at, in: tx)
      context.subject = person.subject
      return try AccessService.makeLink(once, for: person, .password, lifetime: lifetime, at: context.at, in: tx)
    }
  }

  private static func owner(named name: Slug, at now: Timestamp, in tx: Transaction) throws -> Operator {
    if let person = try AccessRecords.find(named: name, in: tx) {
      if person.role == .owner, person.state != .suspended { return person }
      if person.state == .suspended {
        throw AWError(
          .conflict, "The access of \(name.text.quoted) was ended for good.", next: "Choose another name for the owner."
        )
      }
    } else if try AccessRecords.operators(in: tx).allSatisfy({ $0.state != .active }) {
      return try makeOperator(name, .owner, at: now, in: tx)
    }
    throw AWError(
      .conflict, "\(name.text.quoted) is not an owner of this deployment, and it has one already.",
      next: "Give the name of an owner, or let an owner invite the new operator.")
  }

  private static func invited(
    _ name: Slug, _ role: OperatorRole, at now: Timestamp, in tx: Transaction
  ) throws -> Operator {
    guard let person = try AccessRecords.find(named: name, in: tx) else {
      return try makeOperator(name, role, at: now, in: tx)
    }
    if person.state == .invited, person.role == role { return person }
    throw AWError(
      .conflict,
      "The name \(name.text.quoted) is taken: its operator is \(person.state.rawValue), "
        + "with the role \(person.role.rawValue).",
      next: "Use another name.")
  }

  private static func makeOperator(
    _ name: Slug, _ role: OperatorRole, at now: Timestamp, in tx: Transaction
  ) throws -> Operator {
    let person = Operator(
      id: .make(at: now), name: name, role: role, state: .invited, hasPassword: false, createdAt: now)
    try AccessRecords.insert(person, in: tx)
    return person
  }

  private static func makeLink(
    _ once: OneTimeSecret, for person: Operator, _ purpose: LinkPurpose, lifetime: Duration, at now: Timestamp,
    in tx: Transaction
  ) throws -> OneTimeLink {
    let expiry = now.advanced(by: lifetime)
    try AccessRecords.closeLinks(of: person.id, at: now, in: tx)
    try AccessRecords.insertLink(once.hash, for: person.id, purpose, at: now, until: expiry, in: tx)
    return OneTimeLink(operator: person, secret: once.secret, expiresAt: expiry)
  }

  // MARK: - Sweeping

  /// Deletes links and sessions that ended long ago, and returns how many. For a timer; running it twice is fine.
  ///
  /// No act: nothing that anybody could still use is touched.
  public func sweep() async throws -> Int {
    let longAgo = clock.now.advanced(by: .zero - limits.keepDead)
    let tooOld = longAgo.advanced(by: .zero - limits.sessionAbsolute)
    return try await store.write { tx in
      try AccessRecords.deleteDead(linksExpiredBefore: longAgo, sessionsMadeBefore: tooOld, in: tx)
    }
  }

  // MARK: - Operators

  /// All operators, by name. Needs `read`.
  public func operators(as actor: Actor) async throws -> [Operator] {
    let acts = acts
    return try await store.read { tx in
      try acts.authorise(.read, as: actor, in: tx)
      return try AccessRecords.operators(in: tx)
    }
  }

  /// Ends an operator's access for good: sessions, tokens and links with it.
  ///
  /// - Throws: `notFound`; `conflict` for oneself and for the last active owner; what `Acts.perform` throws.
  public func suspend(_ id: OperatorID, as actor: Actor, dryRun: Bool = false) async throws {
    let act = Act(
      .operatorInvite, kind: .operatorSuspended, subject: EvidenceSubject(type: "operator", id: id.text))
    try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      guard let person = try AccessRecords.find(id, in: tx) else {
        throw AWError(.notFound, "There is no such operator.", next: "Look at the list of operators.")
      }
      context.subject = person.subject
      let owners = try AccessRecords.operators(in: tx).filter { $0.role == .owner && $0.state == .active }
      if actor == .operator(id) || owners.map(\.id) == [id] {
        throw AWError(
          .conflict, "You cannot suspend yourself, nor the last owner.",
          next: "Invite another owner, and let them do it.")
      }
      try AccessRecords.setState(.suspended, of: id, in: tx)
      try AccessRecords.closeLinks(of: id, at: context.at, in: tx)
      try AccessRecords.revokeSessions(of: id, at: context.at, in: tx)
      try AccessRecords.revokeTokens(of: id, at: context.at, in: tx)
    }
  }
}

extension Operator {
  var subject: EvidenceSubject { EvidenceSubject(type: "operator", id: id.text, slug: name.text) }
}
