import Basics
import Evidence
import Store

extension AccessService {
  /// Signs in with a sign-in link, which is used up by it. A first owner becomes active.
  ///
  /// The password is cleared: a link is made for who has none, or lost it, and `changePassword` asks for the old one.
  ///
  /// - Parameter client: what the browser says it is.
  /// - Throws: `linkInvalid` for a link that is unknown, used, replaced or expired; what `Acts.perform` throws.
  public func signIn(link: Secret, client: String) async throws -> NewSession {
    let hash = OneTimeSecret.hash(of: link)
    let holder = try await holder(ofLink: hash, .signIn)
    let once = OneTimeSecret.make()
    return try await acts.perform(
      .ownAccount(.operatorSignedIn, subject: holder.subject), as: .operator(holder.id)
    ) { tx, context in
      context.record("by", "link")
      let holder = try AccessService.useLink(hash, .signIn, at: context.at, in: tx)
      try AccessRecords.setPassword(nil, of: holder.id, in: tx)
      context.record("password-cleared", .bool(holder.hasPassword))
      let person = try AccessRecords.find(holder.id, in: tx) ?? holder
      return try AccessService.openSession(once, for: person, client: client, at: context.at, in: tx)
    }
  }

  /// Sets the first password with the link of an invitation, which is used up by it. The operator becomes active.
  ///
  /// - Throws: `linkInvalid`, `passwordWeak`, `rateLimited` when too many passwords are being hashed, and what
  ///   `Acts.perform` throws.
  @discardableResult
  public func setPassword(_ password: Secret, link: Secret) async throws -> Operator {
    let linkHash = OneTimeSecret.hash(of: link)
    let holder = try await holder(ofLink: linkHash, .password)
    let stored = try await hashChecked(password, name: holder.name)
    return try await acts.perform(
      .ownAccount(.passwordSet, subject: holder.subject), as: .operator(holder.id)
    ) { tx, context in
      context.record("by", "link")
      let person = try AccessService.useLink(linkHash, .password, at: context.at, in: tx)
      try AccessRecords.setPassword(stored, of: person.id, in: tx)
      try AccessRecords.revokeSessions(of: person.id, at: context.at, in: tx)
      return try AccessRecords.find(person.id, in: tx) ?? person
    }
  }

  /// Whom a usable link belongs to; it stays usable. For the page that asks for the password.
  ///
  /// - Throws: `linkInvalid`.
  public func invitee(link: Secret) async throws -> Operator {
    try await holder(ofLink: OneTimeSecret.hash(of: link), .password)
  }

  private func holder(ofLink hash: [UInt8], _ purpose: LinkPurpose) async throws -> Operator {
    let now = clock.now
    return try await store.read { tx in try AccessService.check(hash, purpose, at: now, in: tx) }
  }

  private static func check(
    _ hash: [UInt8], _ purpose: LinkPurpose, at now: Timestamp, in tx: Transaction
  ) throws -> Operator {
    guard let link = try AccessRecords.findLink(hash, purpose, in: tx),
      let person = try AccessRecords.find(link.operatorID, in: tx), person.state != .suspended
    else { throw linkInvalid("The link is not one of this deployment.") }
    if case .refused(let why) = LinkDecision.decide(usedAt: link.usedAt, expiresAt: link.expiresAt, at: now) {
      throw linkInvalid(why)
    }
    return person
  }

  /// Checks again inside the transaction, so that of two uses at once one fails.
  private static func useLink(
    _ hash: [UInt8], _ purpose: LinkPurpose, at now: Timestamp, in tx: Transaction
  ) throws -> Operator {
    let person = try check(hash, purpose, at: now, in: tx)
    try AccessRecords.closeLinks(of: person.id, at: now, in: tx)
    guard person.state == .invited else { return person }
    try AccessRecords.setState(.active, of: person.id, in: tx)
    return try AccessRecords.find(person.id, in: tx) ?? person
  }

  private static func linkInvalid(_ why: String) -> AWError {
    AWError(.linkInvalid, "This link cannot be used. \(why)", next: "Ask an owner of the deployment for a new one.")
  }

  /// - Throws: `passwordWeak`, `rateLimited`.
  func hashChecked(_ password: Secret, name: Slug) async throws -> PasswordHash {
    if let problem = PasswordRule.problem(with: password, name: name) {
      throw AWError(
        .passwordWeak, "This password cannot be used: \(problem).",
        next: "Use at least \(PasswordRule.charactersMin) characters, such as four words that do not belong together.")
    }
    return try await hasher.hash(password)
  }
}
