import Access
import Basics
import Crypto
import Foundation
import HTTPTypes
import Store

/// The SQL of this room.
public enum WebRecords {
  public static let migrations = [
    Migration(
      "web-0001-idempotency",
      [
        """
        CREATE TABLE web_idempotency (
          key_hash BLOB NOT NULL, actor TEXT NOT NULL, digest BLOB NOT NULL, started_at BIGINT NOT NULL,
          status BIGINT, type TEXT, location TEXT, body BLOB, PRIMARY KEY (key_hash, actor))
        """,
        "CREATE INDEX web_idempotency_by_start ON web_idempotency (started_at)",
      ])
  ]
}

/// A request that may be repeated: whose it is, and what it asks for.
struct IdempotencyTicket: Sendable {
  let keyHash: [UInt8]
  let actor: String
  /// Of method, path, query and body, under the key itself: the database has the hash of the key only, so what was in
  /// the body cannot be found out by trying.
  let digest: [UInt8]

  /// - Throws: `usage` for a key that is none.
  init(key: String, actor: Actor, request: WebRequest) throws {
    let isVisible = key.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    guard !key.isEmpty, key.utf8.count <= WebLimits.idempotencyKeyCharactersMax, isVisible else {
      throw WebErrors.keyMalformed
    }
    keyHash = Array(SHA256.hash(data: Array(key.utf8)))
    self.actor = actor.text
    var hmac = HMAC<SHA256>(key: SymmetricKey(data: Array(key.utf8)))
    hmac.update(data: Array(request.identity.canonical.utf8))
    hmac.update(data: request.body)
    digest = Array(hmac.finalize())
  }
}

/// Keeps the answers of writers for their idempotency keys.
struct IdempotencyStore: Sendable {
  enum Start: Sendable {
    case carryOut
    case replay(WebResponse)
  }

  private enum Found {
    case nothing, running, spent
    case answer(WebResponse)
  }

  let store: Store

  /// Claims the key, or finds its answer.
  ///
  /// - Throws: `idempotencyMismatch` when the key belongs to another request, `conflict` while the first one runs and
  ///   when its answer is not kept.
  func begin(_ ticket: IdempotencyTicket, at now: Timestamp) async throws -> Start {
    try await store.write { tx in
      try tx.run(
        "DELETE FROM web_idempotency WHERE started_at < ?",
        [.time(now.advanced(by: .zero - WebLimits.idempotencyKept))])
      switch try find(ticket, at: now, in: tx) {
      case .answer(let response): return .replay(response)
      case .running: throw WebErrors.keyRunning
      case .spent: throw WebErrors.keySpent
      case .nothing:
        try tx.run(
          """
          INSERT INTO web_idempotency (key_hash, actor, digest, started_at, status, type, location, body)
          VALUES (?, ?, ?, ?, NULL, NULL, NULL, NULL)
          ON CONFLICT (key_hash, actor) DO UPDATE SET started_at = excluded.started_at
          """,
          [.blob(ticket.keyHash), .text(ticket.actor), .blob(ticket.digest), .time(now)])
        return .carryOut
      }
    }
  }

  private func find(_ ticket: IdempotencyTicket, at now: Timestamp, in tx: Transaction) throws -> Found {
    let rows = try tx.run(
      "SELECT * FROM web_idempotency WHERE key_hash = ? AND actor = ?", [.blob(ticket.keyHash), .text(ticket.actor)])
    guard let row = rows.first else { return .nothing }
    guard try row.blob("digest") == ticket.digest else { throw WebErrors.keyMismatch }
    guard let status = try row.optionalInteger("status") else {
      let died = try row.time("started_at").advanced(by: WebLimits.idempotencyRunningMax) < now
      return died ? .nothing : .running
    }
    guard let type = try row.optionalText("type") else { return .spent }
    var response = WebResponse(status: .init(code: Int(status)))
    if !type.isEmpty { response.body = .bytes(try row.blob("body"), type: type) }
    response.headers[.location] = try row.optionalText("location")
    response.headers[.idempotencyReplayed] = "true"
    return .answer(response)
  }

  /// Keeps the answer, unless it holds a secret or is too long: then only the fact is kept.
  func finish(_ ticket: IdempotencyTicket, with response: WebResponse) async throws {
    let (type, body) = IdempotencyStore.kept(response)
    try await store.write { tx in
      try tx.run(
        "UPDATE web_idempotency SET status = ?, type = ?, location = ?, body = ? WHERE key_hash = ? AND actor = ?",
        [
          .integer(response.status.code), .text(type), .text(response.headers[.location]), .blob(body),
          .blob(ticket.keyHash), .text(ticket.actor),
        ])
    }
  }

  private static func kept(_ response: WebResponse) -> (type: String?, body: [UInt8]) {
    if response.holdsSecret { return (nil, []) }
    switch response.body {
    case .none: return ("", [])
    case .bytes(let bytes, let type) where bytes.count <= WebLimits.idempotencyAnswerBytesMax: return (type, bytes)
    case .bytes, .page, .live: return (nil, [])
    }
  }

  /// Frees the key of a request that failed.
  func abandon(_ ticket: IdempotencyTicket) async throws {
    try await store.write { tx in
      try tx.run(
        "DELETE FROM web_idempotency WHERE key_hash = ? AND actor = ? AND status IS NULL",
        [.blob(ticket.keyHash), .text(ticket.actor)])
    }
  }
}
