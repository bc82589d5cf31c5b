import Basics
import Evidence
import Store

/// A token that was just made: the secret is shown once and exists nowhere else.
public struct NewToken: Sendable {
  public let token: APIToken
  /// `aw_…`. In a dry run it opens nothing.
  public let secret: Secret
}

/// Who a request with an API token comes from.
public struct TokenHolder: Sendable {
  public let token: APIToken
  public let `operator`: Operator
  /// What the token may do now: its role, or less when the operator has less.
  public let role: OperatorRole
  public var actor: Actor { .apiToken(token.id) }
}

extension AccessService {
  /// Makes a token for the operator who asks. Needs `token.manage`.
  ///
  /// - Parameter lifetime: up to `AccessLimits.tokenLifetimeMax`.
  /// - Throws: `usage` for a lifetime out of bounds, `forbidden` for a role above the operator's own, and what
  ///   `Acts.perform` throws.
  public func makeToken(
    _ name: Slug, role: OperatorRole, lifetime: Duration, as actor: Actor, dryRun: Bool = false
  ) async throws -> NewToken {
    guard lifetime > .zero, lifetime <= limits.tokenLifetimeMax else {
      let days = Int(limits.tokenLifetimeMax.seconds) / 86_400
      throw AWError(
        .usage, "A token cannot have this lifetime.", next: "Give one of more than nothing and up to \(days) days.")
    }
    let once = OneTimeSecret.makeToken()
    let act = Act(
      .tokenManage, kind: .tokenMade, details: ["name": .string(name.text), "role": .string(role.rawValue)])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      let person = try AccessService.person(actor, in: tx)
      guard role.isWithin(person.role) else {
        throw AccessService.forbidden("A token has at most the role of its operator, \(person.role.rawValue).")
      }
      let token = APIToken(
        id: .make(at: context.at), name: name, operatorID: person.id, role: role, createdAt: context.at,
        expiresAt: context.at.advanced(by: lifetime), usedAt: nil, isRevoked: false)
      try AccessRecords.insert(token, hash: once.hash, in: tx)
      context.subject = token.subject
      context.record("expires", .string(token.expiresAt.description))
      return NewToken(token: token, secret: once.secret)
    }
  }

  /// The tokens that the actor may manage, the newest first: an owner's are all. Needs `token.manage`.
  public func tokens(as actor: Actor) async throws -> [APIToken] {
    let acts = acts
    return try await store.read { tx in
      try acts.authorise(.tokenManage, as: actor, in: tx)
      let person = try AccessService.person(actor, in: tx)
      return try AccessRecords.tokens(of: person.role == .owner ? nil : person.id, in: tx)
    }
  }

  /// Revokes a token: one's own, or any as an owner. Needs `token.manage`. Revoking it twice is fine.
  ///
  /// - Throws: `notFound`, `forbidden`, and what `Acts.perform` throws.
  public func revokeToken(_ id: TokenID, as actor: Actor, dryRun: Bool = false) async throws {
    let act = Act(.tokenManage, kind: .tokenRevoked, subject: EvidenceSubject(type: "token", id: id.text))
    try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      guard let token = try AccessRecords.find(id, in: tx) else {
        throw AWError(.notFound, "There is no such token.", next: "Look at the list of tokens.")
      }
      let person = try AccessService.person(actor, in: tx)
      guard person.role == .owner || token.operatorID == person.id else {
        throw AccessService.forbidden("The token belongs to another operator.")
      }
      context.subject = token.subject
      try AccessRecords.revokeToken(id, at: context.at, in: tx)
    }
  }

  /// Finds out who a token belongs to, and notes that it was used (not an act, at most once a minute).
  ///
  /// - Throws: `unauthenticated`, and what the store throws.
  public func authenticate(token secret: Secret) async throws -> TokenHolder {
    guard secret.withText(TokenText.isWellFormed) else {
      throw AWError(
        .unauthenticated, "This is not an API token: it is incomplete or mistyped.",
        next: "Copy the whole token, from \(TokenText.prefix) on, or make a new one.")
    }
    let (hash, now) = (OneTimeSecret.hash(of: secret), clock.now)
    let holder = try await store.read { tx in
      guard let token = try AccessRecords.findToken(hash: hash, in: tx),
        let person = try AccessRecords.find(token.operatorID, in: tx)
      else { throw AccessService.tokenRefused("The token is not known.") }
      switch AccessRecords.standing(of: token, person, at: now) {
      case .token(let role): return TokenHolder(token: token, operator: person, role: role)
      case .none(let why): throw AccessService.tokenRefused(why)
      case .signedIn, .system: throw AccessService.tokenRefused("It is not a token.")
      }
    }
    if holder.token.usedAt.map({ now.since($0) >= limits.lastUsedStep }) ?? true {
      try await store.write { tx in try AccessRecords.usedToken(holder.token.id, at: now, in: tx) }
    }
    return holder
  }

  /// The operator that an actor is; tokens are managed by people only.
  private static func person(_ actor: Actor, in tx: Transaction) throws -> Operator {
    guard case .operator(let id) = actor, let person = try AccessRecords.find(id, in: tx) else {
      throw forbidden("Tokens belong to operators.")
    }
    return person
  }

  private static func forbidden(_ why: String) -> AWError {
    AWError(.forbidden, "This is not allowed. \(why)", next: "Ask an owner of this deployment.")
  }

  private static func tokenRefused(_ why: String) -> AWError {
    AWError(.unauthenticated, "The API token was refused. \(why)", next: "Make a new token.")
  }
}

extension APIToken {
  var subject: EvidenceSubject { EvidenceSubject(type: "token", id: id.text, slug: name.text) }
}
