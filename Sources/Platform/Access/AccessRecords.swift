import Basics
import Store

/// The SQL of operators, links, sessions and tokens. Secrets are there as SHA-256 or scrypt only.
public enum AccessRecords {
  public static let migrations: [Migration] = [
    Migration(
      "access-0001-operators",
      [
        """
        CREATE TABLE access_operator (
          id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL UNIQUE, role TEXT NOT NULL, state TEXT NOT NULL,
          password TEXT, created_at BIGINT NOT NULL)
        """,
        """
        CREATE TABLE access_link (
          hash BLOB PRIMARY KEY NOT NULL, operator_id TEXT NOT NULL, purpose TEXT NOT NULL,
          created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, used_at BIGINT)
        """,
        "CREATE INDEX access_link_by_operator ON access_link (operator_id)",
        """
        CREATE TABLE access_session (
          id TEXT PRIMARY KEY NOT NULL, hash BLOB NOT NULL UNIQUE, operator_id TEXT NOT NULL, client TEXT NOT NULL,
          created_at BIGINT NOT NULL, seen_at BIGINT NOT NULL, revoked_at BIGINT)
        """,
        "CREATE INDEX access_session_by_operator ON access_session (operator_id)",
        """
        CREATE TABLE access_token (
          id TEXT PRIMARY KEY NOT NULL, hash BLOB NOT NULL UNIQUE, operator_id TEXT NOT NULL, name TEXT NOT NULL,
          role TEXT NOT NULL, created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, used_at BIGINT,
          revoked_at BIGINT)
        """,
        "CREATE INDEX access_token_by_operator ON access_token (operator_id)",
      ])
  ]

  /// What an actor counts as now.
  static func standing(of actor: Actor, at now: Timestamp, in tx: Transaction) throws -> Standing {
    switch actor {
    case .system: return .system
    case .operator(let id):
      guard let person = try find(id, in: tx) else { return .none("The operator does not exist.") }
      return person.state == .active ? .signedIn(person.role) : .none("The operator is not active.")
    case .apiToken(let id):
      guard let token = try find(id, in: tx) else { return .none("The token does not exist.") }
      guard let creator = try find(token.operatorID, in: tx) else { return .none("The operator does not exist.") }
      return standing(of: token, creator, at: now)
    }
  }

  static func standing(of token: APIToken, _ creator: Operator, at now: Timestamp) -> Standing {
    TokenDecision.standing(
      role: token.role, expiresAt: token.expiresAt, isRevoked: token.isRevoked, creator: creator.role,
      creatorState: creator.state, at: now)
  }

  // MARK: - Operators

  static func insert(_ person: Operator, in tx: Transaction) throws {
    try tx.run(
      "INSERT INTO access_operator (id, name, role, state, password, created_at) VALUES (?, ?, ?, ?, NULL, ?)",
      [
        .id(person.id), .text(person.name.text), .text(person.role.rawValue), .text(person.state.rawValue),
        .time(person.createdAt),
      ])
  }

  static func find(_ id: OperatorID, in tx: Transaction) throws -> Operator? {
    try tx.run("SELECT * FROM access_operator WHERE id = ?", [.id(id)]).first.map(readOperator)
  }

  static func find(named name: Slug, in tx: Transaction) throws -> Operator? {
    try tx.run("SELECT * FROM access_operator WHERE name = ?", [.text(name.text)]).first.map(readOperator)
  }

  static func operators(in tx: Transaction) throws -> [Operator] {
    try tx.run("SELECT * FROM access_operator ORDER BY name").map(readOperator)
  }

  static func password(of id: OperatorID, in tx: Transaction) throws -> String? {
    try tx.run("SELECT password FROM access_operator WHERE id = ?", [.id(id)]).first?.optionalText("password")
  }

  static func setPassword(_ hash: PasswordHash?, of id: OperatorID, in tx: Transaction) throws {
    try tx.run("UPDATE access_operator SET password = ? WHERE id = ?", [.text(hash?.text), .id(id)])
  }

  static func setState(_ state: OperatorState, of id: OperatorID, in tx: Transaction) throws {
    try tx.run("UPDATE access_operator SET state = ? WHERE id = ?", [.text(state.rawValue), .id(id)])
  }

  private static func readOperator(_ row: SQLRow) throws -> Operator {
    guard let role = OperatorRole(rawValue: try row.text("role")),
      let state = OperatorState(rawValue: try row.text("state"))
    else { throw damaged("an operator") }
    return Operator(
      id: try row.id("id"), name: try Slug(try row.text("name")), role: role, state: state,
      hasPassword: try row.optionalText("password") != nil, createdAt: try row.time("created_at"))
  }

  private static func damaged(_ what: String) -> AWError {
    AWError(
      .storeFailed, "The database holds \(what) with a role or state that AW does not know.",
      next: "Do not change the database by hand. Restore the last backup, or start the newer AW that wrote it.")
  }
}

// MARK: - Sweeping

extension AccessRecords {
  /// Deletes links and sessions that nobody can use any more. What happened to them is in the evidence.
  static func deleteDead(
    linksExpiredBefore links: Timestamp, sessionsMadeBefore sessions: Timestamp, in tx: Transaction
  ) throws -> Int {
    try tx.run("DELETE FROM access_link WHERE expires_at < ? RETURNING operator_id", [.time(links)]).count
      + tx.run("DELETE FROM access_session WHERE created_at < ? RETURNING id", [.time(sessions)]).count
  }
}

// MARK: - Links

/// What a one-time link is for.
enum LinkPurpose: String, Sendable {
  /// Signs an owner in.
  case signIn = "sign-in"
  /// Lets somebody who was invited set the password.
  case password
}

extension AccessRecords {
  struct Link: Sendable {
    let operatorID: OperatorID
    let expiresAt: Timestamp
    let usedAt: Timestamp?
  }

  static func insertLink(
    _ hash: [UInt8], for id: OperatorID, _ purpose: LinkPurpose, at now: Timestamp, until expiry: Timestamp,
    in tx: Transaction
  ) throws {
    try tx.run(
      """
      INSERT INTO access_link (hash, operator_id, purpose, created_at, expires_at, used_at)
      VALUES (?, ?, ?, ?, ?, NULL)
      """,
      [.blob(hash), .id(id), .text(purpose.rawValue), .time(now), .time(expiry)])
  }

  static func findLink(_ hash: [UInt8], _ purpose: LinkPurpose, in tx: Transaction) throws -> Link? {
    try tx.run(
      "SELECT operator_id, expires_at, used_at FROM access_link WHERE hash = ? AND purpose = ?",
      [.blob(hash), .text(purpose.rawValue)]
    ).first.map {
      Link(
        operatorID: try $0.id("operator_id"), expiresAt: try $0.time("expires_at"),
        usedAt: try $0.optionalTime("used_at"))
    }
  }

  /// Makes every open link of an operator unusable: the one in use, and older ones.
  static func closeLinks(of id: OperatorID, at now: Timestamp, in tx: Transaction) throws {
    try tx.run("UPDATE access_link SET used_at = ? WHERE operator_id = ? AND used_at IS NULL", [.time(now), .id(id)])
  }
}

// MARK: - Sessions

extension AccessRecords {
  struct StoredSession: Sendable {
    let session: Session
    let revokedAt: Timestamp?

    func decision(at now: Timestamp, limits: AccessLimits) -> SessionDecision {
      SessionDecision.decide(
        createdAt: session.createdAt, seenAt: session.seenAt, revokedAt: revokedAt, at: now, limits: limits)
    }
  }

  static func insert(_ session: Session, hash: [UInt8], in tx: Transaction) throws {
    try tx.run(
      """
      INSERT INTO access_session (id, hash, operator_id, client, created_at, seen_at, revoked_at)
      VALUES (?, ?, ?, ?, ?, ?, NULL)
      """,
      [
        .id(session.id), .blob(hash), .id(session.operatorID), .text(session.client), .time(session.createdAt),
        .time(session.seenAt),
      ])
  }

  static func findSession(hash: [UInt8], in tx: Transaction) throws -> StoredSession? {
    try tx.run("SELECT * FROM access_session WHERE hash = ?", [.blob(hash)]).first.map(readSession)
  }

  static func findSession(_ id: SessionID, in tx: Transaction) throws -> StoredSession? {
    try tx.run("SELECT * FROM access_session WHERE id = ?", [.id(id)]).first.map(readSession)
  }

  /// Not revoked ones, the newest first.
  static func sessions(of id: OperatorID, in tx: Transaction) throws -> [StoredSession] {
    try tx.run(
      "SELECT * FROM access_session WHERE operator_id = ? AND revoked_at IS NULL ORDER BY created_at DESC, id DESC",
      [.id(id)]
    ).map(readSession)
  }

  static func sawSession(_ id: SessionID, at now: Timestamp, in tx: Transaction) throws {
    try tx.run("UPDATE access_session SET seen_at = ? WHERE id = ? AND seen_at < ?", [.time(now), .id(id), .time(now)])
  }

  static func revokeSession(_ id: SessionID, at now: Timestamp, in tx: Transaction) throws {
    try tx.run("UPDATE access_session SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", [.time(now), .id(id)])
  }

  static func revokeSessions(
    of id: OperatorID, except kept: SessionID? = nil, at now: Timestamp, in tx: Transaction
  ) throws {
    try tx.run(
      "UPDATE access_session SET revoked_at = ? WHERE operator_id = ? AND id <> ? AND revoked_at IS NULL",
      [.time(now), .id(id), .text(kept?.text ?? "")])
  }

  private static func readSession(_ row: SQLRow) throws -> StoredSession {
    StoredSession(
      session: Session(
        id: try row.id("id"), operatorID: try row.id("operator_id"), createdAt: try row.time("created_at"),
        seenAt: try row.time("seen_at"), client: try row.text("client")),
      revokedAt: try row.optionalTime("revoked_at"))
  }
}

// MARK: - Tokens

extension AccessRecords {
  static func insert(_ token: APIToken, hash: [UInt8], in tx: Transaction) throws {
    try tx.run(
      """
      INSERT INTO access_token (id, hash, operator_id, name, role, created_at, expires_at, used_at, revoked_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL)
      """,
      [
        .id(token.id), .blob(hash), .id(token.operatorID), .text(token.name.text), .text(token.role.rawValue),
        .time(token.createdAt), .time(token.expiresAt),
      ])
  }

  static func find(_ id: TokenID, in tx: Transaction) throws -> APIToken? {
    try tx.run("SELECT * FROM access_token WHERE id = ?", [.id(id)]).first.map(readToken)
  }

  static func findToken(hash: [UInt8], in tx: Transaction) throws -> APIToken? {
    try tx.run("SELECT * FROM access_token WHERE hash = ?", [.blob(hash)]).first.map(readToken)
  }

  /// The newest first; of one operator, or of all.
  static func tokens(of id: OperatorID?, in tx: Transaction) throws -> [APIToken] {
    try tx.run(
      "SELECT * FROM access_token WHERE operator_id = COALESCE(?, operator_id) ORDER BY created_at DESC, id DESC",
      [.id(id)]
    ).map(readToken)
  }

  static func usedToken(_ id: TokenID, at now: Timestamp, in tx: Transaction) throws {
    try tx.run(
      "UPDATE access_token SET used_at = ? WHERE id = ? AND (used_at IS NULL OR used_at < ?)",
      [.time(now), .id(id), .time(now)])
  }

  static func revokeToken(_ id: TokenID, at now: Timestamp, in tx: Transaction) throws {
    try tx.run("UPDATE access_token SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", [.time(now), .id(id)])
  }

  static func revokeTokens(of id: OperatorID, at now: Timestamp, in tx: Transaction) throws {
    try tx.run(
      "UPDATE access_token SET revoked_at = ? WHERE operator_id = ? AND revoked_at IS NULL", [.time(now), .id(id)])
  }

  private static func readToken(_ row: SQLRow) throws -> APIToken {
    guard let role = OperatorRole(rawValue: try row.text("role")) else { throw damaged("a token") }
    return APIToken(
      id: try row.id("id"), name: try Slug(try row.text("name")), operatorID: try row.id("operator_id"), role: role,
      createdAt: try row.time("created_at"), expiresAt: try row.time("expires_at"),
      usedAt: try row.optionalTime("used_at"), isRevoked: try row.optionalTime("revoked_at") != nil)
  }
}
