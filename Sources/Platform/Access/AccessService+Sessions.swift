import Basics
import Crypto
import Evidence
import Foundation
import Logging
import Store
import Synchronization

/// A session that was just opened: the secret goes into the cookie and exists nowhere else.
public struct NewSession: Sendable {
  public let `operator`: Operator
  public let session: Session
  public let secret: Secret
}

/// Who a request with a session cookie comes from.
public struct SignedIn: Sendable {
  public let `operator`: Operator
  public let session: Session
  public var actor: Actor { .operator(self.operator.id) }
}

extension AccessService {
  /// Characters of what a browser says it is that are kept.
  static let clientCharactersMax = 120

  /// Signs in with name and password. Unknown names take the same work as known ones, and get the same answer.
  ///
  /// - Parameters:
  ///   - name: as typed.
  ///   - address: the client's address without its port: the key of a rate limit.
  ///   - client: what the browser says it is.
  /// - Throws: `unauthenticated`; `rateLimited`; what `Acts.perform` throws.
  public func signIn(name: String, password: Secret, address: String, client: String) async throws -> NewSession {
    let nameKey = String(name.prefix(Slug.charactersMax))
    try take(name: nameKey, address: address)
    // A text that cannot be a name is an unknown one; to say more would tell which names there can be.
    let slug = try? Slug(name)
    let known = try await store.read { tx in try AccessService.account(slug, in: tx) }
    let isRight = try await hasher.matches(password, known?.password ?? hasher.decoy)
    guard let known, isRight, known.person.state == .active else {
      // Not the name: people type passwords there.
      logger.notice("A sign-in was refused", metadata: ["address": "\(address)"])
      throw AccessService.wrongPassword()
    }
    // The price of hashing may have been raised since the password was set.
    let renewed = known.password.cost == hasher.cost ? nil : try await hasher.hash(password)
    let once = OneTimeSecret.make()
    let opened = try await acts.perform(
      .ownAccount(.operatorSignedIn, subject: known.person.subject), as: .operator(known.person.id)
    ) { tx, context in
      context.record("by", "password")
      // The password or the operator may have changed while the hash was computed.
      guard let now = try AccessService.account(slug, in: tx), now.password == known.password,
        now.person.state == .active
      else { throw AccessService.wrongPassword() }
      if let renewed { try AccessRecords.setPassword(renewed, of: now.person.id, in: tx) }
      return try AccessService.openSession(once, for: now.person, client: client, at: context.at, in: tx)
    }
    byName.withLock { $0.forgive(nameKey) }
    return opened
  }

  /// Sets a new password from a session, which stays; the operator's other sessions end.
  ///
  /// - Parameter current: the old password; not asked for while there is none, as after a sign-in link.
  /// - Throws: `unauthenticated`, `passwordWeak`, `rateLimited`, and what `Acts.perform` throws.
  public func changePassword(to new: Secret, current: Secret?, session: Secret) async throws {
    let signedIn = try await authenticate(session: session)
    let person = signedIn.operator
    let account = try await store.read { tx in try AccessService.account(person.name, in: tx) }
    if let account {
      try take(name: person.name.text, address: nil)
      guard let current, try await hasher.matches(current, account.password) else {
        throw AccessService.wrongPassword()
      }
      byName.withLock { $0.forgive(person.name.text) }
    }
    let stored = try await hashChecked(new, name: person.name)
    try await acts.perform(.ownAccount(.passwordSet, subject: person.subject), as: signedIn.actor) { tx, context in
      context.record("by", "session")
      guard let still = try AccessRecords.findSession(signedIn.session.id, in: tx), still.revokedAt == nil,
        try AccessService.account(person.name, in: tx)?.password == account?.password
      else { throw AccessService.unauthenticated("The session was ended.") }
      try AccessRecords.setPassword(stored, of: person.id, in: tx)
      try AccessRecords.revokeSessions(of: person.id, except: signedIn.session.id, at: context.at, in: tx)
    }
  }

  /// Finds out who a session belongs to, and notes that it was used.
  ///
  /// That note is no act: it says nothing that a person asked for, and is written at most once a minute.
  ///
  /// - Throws: `unauthenticated`, and what the store throws.
  public func authenticate(session secret: Secret) async throws -> SignedIn {
    let (hash, now, limits) = (OneTimeSecret.hash(of: secret), clock.now, limits)
    let signedIn = try await store.read { tx in
      guard let stored = try AccessRecords.findSession(hash: hash, in: tx) else {
        throw AccessService.unauthenticated("The session is not known.")
      }
      if case .ended(let why) = stored.decision(at: now, limits: limits) { throw AccessService.unauthenticated(why) }
      guard let person = try AccessRecords.find(stored.session.operatorID, in: tx), person.state == .active else {
        throw AccessService.unauthenticated("The operator is not active.")
      }
      return SignedIn(operator: person, session: stored.session)
    }
    if now.since(signedIn.session.seenAt) >= limits.lastUsedStep {
      try await store.write { tx in try AccessRecords.sawSession(signedIn.session.id, at: now, in: tx) }
    }
    return signedIn
  }

  /// The live sessions of an operator, the newest first.
  public func sessions(of id: OperatorID) async throws -> [Session] {
    let (now, limits) = (clock.now, limits)
    return try await store.read { tx in
      try AccessRecords.sessions(of: id, in: tx).filter { $0.decision(at: now, limits: limits) == .live }.map(\.session)
    }
  }

  /// Ends one of an operator's own sessions: signing out, here or elsewhere. Ending it twice is fine.
  ///
  /// - Throws: `notFound` when the operator has no such session; what `Acts.perform` throws.
  public func endSession(_ id: SessionID, of owner: OperatorID) async throws {
    let subject = EvidenceSubject(type: "session", id: id.text)
    try await acts.perform(.ownAccount(.sessionEnded, subject: subject), as: .operator(owner)) { tx, context in
      guard let stored = try AccessRecords.findSession(id, in: tx), stored.session.operatorID == owner else {
        throw AWError(.notFound, "There is no such session.", next: "Look at the list of your sessions.")
      }
      try AccessRecords.revokeSession(id, at: context.at, in: tx)
    }
  }

  // MARK: - CSRF

  /// The token that a form of this session must carry (a signed double submit, bound to the session).
  public func csrfToken(session: Secret) -> String {
    let code = csrfKey.withBytes { key in
      HMAC<SHA256>.authenticationCode(for: OneTimeSecret.hash(of: session), using: SymmetricKey(data: key))
    }
    return Base64URL.encode(code)
  }

  /// - Throws: `csrf` when the token is not the one of the session.
  public func checkCSRF(_ token: String, session: Secret) throws {
    guard Secret(token).equals(Secret(csrfToken(session: session))) else {
      throw AWError(
        .csrf, "The form does not belong to this session.", next: "Load the page again and send the form once more.")
    }
  }

  // MARK: - Parts

  static func openSession(
    _ once: OneTimeSecret, for person: Operator, client: String, at now: Timestamp, in tx: Transaction
  ) throws -> NewSession {
    let printable = String(String.UnicodeScalarView(client.unicodeScalars.filter { $0.value >= 0x20 }))
    let session = Session(
      id: .make(at: now), operatorID: person.id, createdAt: now, seenAt: now,
      client: String(printable.prefix(clientCharactersMax)))
    try AccessRecords.insert(session, hash: once.hash, in: tx)
    return NewSession(operator: person, session: session, secret: once.secret)
  }

  private struct Account: Sendable {
    let person: Operator
    let password: PasswordHash
  }

  /// Nil when there is no such operator, or one without password.
  private static func account(_ name: Slug?, in tx: Transaction) throws -> Account? {
    guard let name, let person = try AccessRecords.find(named: name, in: tx),
      let text = try AccessRecords.password(of: person.id, in: tx)
    else { return nil }
    guard let password = PasswordHash(text) else {
      throw AWError(
        .storeFailed, "The stored password of an operator cannot be read.",
        next: "Do not change the database by hand. Make a sign-in link on the machine, and set a new password.")
    }
    return Account(person: person, password: password)
  }

  /// - Throws: `rateLimited`.
  private func take(name: String, address: String?) throws {
    let now = clock.now
    let wait =
      address.flatMap { address in byAddress.withLock { $0.take(address, at: now) } }
      ?? byName.withLock { $0.take(name, at: now) }
    guard let wait else { return }
    throw AWError(
      .rateLimited, "There were too many attempts to sign in.",
      next: "Wait \(Int(wait.seconds.rounded(.up))) seconds, then try again.")
  }

  private static func wrongPassword() -> AWError {
    AWError(
      .unauthenticated, "The name or the password is wrong.",
      next: "Try again. If you forgot it, ask whoever runs the deployment for a sign-in link.")
  }

  static func unauthenticated(_ why: String) -> AWError {
    AWError(.unauthenticated, "You are not signed in. \(why)", next: "Sign in again.")
  }
}
