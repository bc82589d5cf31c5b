import Basics
import CPostgres
import Foundation

/// A failure reported by the server or by libpq, for the log. Never holds the values of a statement.
struct PostgresFailure: Error, CustomStringConvertible {
  /// The SQLSTATE; nil when the connection itself failed.
  let state: String?
  let message: String
  var description: String { "PostgreSQL \(state ?? "connection"): \(message)" }
}

/// One open libpq connection. It blocks its caller, and only one thread may use it at a time: its actor sees to both.
final class PostgresSession {
  private let handle: OpaquePointer

  /// - Throws: `storeFailed` without any part of the connection string.
  init(target: Secret, limits: StoreLimits) throws {
    let password = try PostgresSession.password(in: target)
    let connectSeconds = max(2, Int(limits.connect.seconds.rounded(.up)))
    // What comes before `dbname` is a default that the connection string can change.
    let parameters = [
      ("connect_timeout", "\(connectSeconds)"), ("application_name", "aw"), ("keepalives_idle", "30"),
      ("keepalives_interval", "10"), ("keepalives_count", "3"), ("tcp_user_timeout", "30000"),
    ]
    let opened = target.withText { text in
      PostgresSession.withCStrings(parameters.map(\.0) + ["dbname"]) { names in
        PostgresSession.withCStrings(parameters.map(\.1) + [text]) { values in PQconnectdbParams(names, values, 1) }
      }
    }
    guard let opened else { throw StoreErrors.unreachable("there is no memory for a connection", nil) }
    handle = opened
    guard PQstatus(handle) == CONNECTION_OK else {
      // From here on the deinitialiser closes the handle.
      throw PostgresSession.refusal(String(cString: PQerrorMessage(handle)), without: password)
    }
    _ = PQsetNoticeProcessor(handle, { _, _ in }, nil)
    try prepare(limits)
  }

  deinit { PQfinish(handle) }

  var isAlive: Bool { PQstatus(handle) == CONNECTION_OK }

  private func prepare(_ limits: StoreLimits) throws {
    let settings = [
      ("client_encoding", "UTF8"), ("bytea_output", "hex"), ("standard_conforming_strings", "on"),
      ("statement_timeout", "\(limits.statement.milliseconds)"), ("lock_timeout", "\(limits.lockWait.milliseconds)"),
      ("idle_in_transaction_session_timeout", "\(limits.idleTransaction.milliseconds)"),
    ]
    for (name, value) in settings { try run("SELECT set_config(?, ?, false)", [.text(name), .text(value)]) }
    // A confirmed act must survive a power cut, whatever the server's default.
    try run(
      "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'")
  }

  /// Runs one statement.
  ///
  /// - Throws: `PostgresFailure`, or `storeFailed` for a column of a type AW does not read.
  @discardableResult
  func run(_ sql: String, _ values: [SQLValue] = []) throws -> [SQLRow] {
    let sql = PostgresSQL.numberPlaceholders(sql)
    let result = PostgresParameters(values).execute(sql, on: handle)
    defer { PQclear(result) }
    switch PQresultStatus(result) {
    case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: return []
    case PGRES_TUPLES_OK: return try rows(of: result)
    default: throw failure(result)
    }
  }

  /// Only the primary message: the detail of a constraint violation quotes values.
  private func failure(_ result: OpaquePointer?) -> PostgresFailure {
    let state = PQresultErrorField(result, Int32(UInt8(ascii: "C"))).map { String(cString: $0) }
    let primary = PQresultErrorField(result, Int32(UInt8(ascii: "M"))).map { String(cString: $0) }
    let constraint = PQresultErrorField(result, Int32(UInt8(ascii: "n"))).map { " (\(String(cString: $0)))" }
    let lost = primary == nil ? "the connection was lost" : ""
    return PostgresFailure(state: isAlive ? state : nil, message: (primary ?? lost) + (constraint ?? ""))
  }

  private func rows(of result: OpaquePointer?) throws -> [SQLRow] {
    let columns = (0..<PQnfields(result)).map { (String(cString: PQfname(result, $0)), PQftype(result, $0)) }
    return try (0..<PQntuples(result)).map { row in
      var values: [String: SQLValue] = [:]
      for (index, (name, type)) in columns.enumerated() {
        values[name] = try field(result, row, Int32(index), name: name, type: type)
      }
      return SQLRow(values)
    }
  }

  private func field(
    _ result: OpaquePointer?, _ row: Int32, _ column: Int32, name: String, type: UInt32
  ) throws -> SQLValue {
    if PQgetisnull(result, row, column) == 1 { return .null }
    guard let start = PQgetvalue(result, row, column) else { return .null }
    let count = Int(PQgetlength(result, row, column))
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    if type == PostgresType.bytea {
      guard let blob = PostgresSession.unescape(bytes) else { throw StoreErrors.unknownType(name, "bytea") }
      return .blob(blob)
    }
    guard let value = PostgresType.value(String(decoding: bytes, as: UTF8.self), type: type) else {
      throw StoreErrors.unknownType(name, "number \(type)")
    }
    return value
  }

  /// `\x` and two digits a byte.
  private static func unescape(_ text: UnsafeRawBufferPointer) -> [UInt8]? {
    guard text.count >= 2, text.count.isMultiple(of: 2) else { return nil }
    func digit(_ byte: UInt8) -> UInt8 { byte <= UInt8(ascii: "9") ? byte &- 48 : byte &- 87 }
    return [UInt8](unsafeUninitializedCapacity: text.count / 2 - 1) { buffer, count in
      for index in 0..<(text.count / 2 - 1) {
        buffer[index] = digit(text[2 * index + 2]) << 4 | digit(text[2 * index + 3])
      }
      count = text.count / 2 - 1
    }
  }

  // MARK: - Connecting

  /// Reads the connection string before it is used, because libpq's complaint about a malformed one quotes it.
  private static func password(in target: Secret) throws -> String? {
    try target.withText { text in
      var complaint: UnsafeMutablePointer<CChar>?
      let options = PQconninfoParse(text, &complaint)
      defer {
        PQfreemem(complaint)
        PQconninfoFree(options)
      }
      guard let options else {
        throw AWError(
          .storeFailed, "The connection string for PostgreSQL is not one that libpq understands.",
          next: "Write it as host=… port=… user=… dbname=… or as a postgresql:// address.")
      }
      var index = 0
      while let keyword = options[index].keyword {
        if strcmp(keyword, "password") == 0 { return options[index].val.map { String(cString: $0) } }
        index += 1
      }
      return nil
    }
  }

  private static func refusal(_ message: String, without password: String?) -> AWError {
    var message = message.trimmingCharacters(in: .whitespacesAndNewlines)
    if let password, !password.isEmpty { message = message.replacing(password, with: "<secret>") }
    let why =
      if message.contains("authentication failed") || message.contains("no pg_hba.conf entry") {
        "it refused the user or the password"
      } else if message.contains("too many clients") || message.contains("connection slots") {
        "it has no free connection"
      } else if message.contains("does not exist") {
        "the database or the user does not exist"
      } else {
        "the connection failed"
      }
    return StoreErrors.unreachable(why, PostgresFailure(state: nil, message: message))
  }

  /// Copies the texts to C strings for the time of `body`, with the null that ends the list.
  private static func withCStrings<Result>(
    _ texts: [String], _ body: ([UnsafePointer<CChar>?]) -> Result
  ) -> Result {
    let copies = texts.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    return body(copies.map { UnsafePointer($0) } + [nil])
  }
}

/// The values of one statement in the shape that libpq wants: texts and numbers as text, bytes as they are.
private struct PostgresParameters {
  private var types: [Oid] = []
  private var buffers: [[UInt8]?] = []
  private var lengths: [Int32] = []
  private var formats: [Int32] = []

  init(_ values: [SQLValue]) {
    for value in values {
      switch value {
      case .null: add(PostgresType.unspecified, nil, length: 0, binary: false)
      case .integer(let integer): add(PostgresType.int8, Array(String(integer).utf8) + [0], length: 0, binary: false)
      case .text(let text): add(PostgresType.text, Array(text.utf8) + [0], length: 0, binary: false)
      // The extra byte gives an empty value an address; a null address would mean NULL.
      case .blob(let bytes): add(PostgresType.bytea, bytes + [0], length: bytes.count, binary: true)
      }
    }
  }

  private mutating func add(_ type: Oid, _ buffer: [UInt8]?, length: Int, binary: Bool) {
    types.append(type)
    buffers.append(buffer)
    lengths.append(Int32(length))
    formats.append(binary ? 1 : 0)
  }

  func execute(_ sql: String, on handle: OpaquePointer) -> OpaquePointer? {
    let copies = buffers.map { buffer -> UnsafeMutablePointer<CChar>? in
      guard let buffer else { return nil }
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: buffer.count)
      for (index, byte) in buffer.enumerated() { copy[index] = CChar(bitPattern: byte) }
      return copy
    }
    defer { for copy in copies { copy?.deallocate() } }
    return PQexecParams(
      handle, sql, Int32(types.count), types, copies.map { UnsafePointer($0) }, lengths, formats, 0)
  }
}
