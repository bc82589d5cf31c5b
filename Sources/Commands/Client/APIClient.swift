import AsyncHTTPClient
import Basics
import Foundation
import NIOCore
import NIOFoundationCompat
import NIOHTTP1

/// Speaks the API of a control plane, over its socket or over the network.
public struct APIClient: Sendable {
  static let answerBytesMax = 64 << 20
  static let deadline = TimeAmount.seconds(60)

  /// Lives as long as the process. A control plane that is not there is told at once, not tried for a minute.
  private static let http: HTTPClient = {
    var configuration = HTTPClient.Configuration.singletonConfiguration
    configuration.connectionPool.retryConnectionEstablishment = false
    configuration.timeout.connect = .seconds(5)
    return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }()

  private let base: String
  /// What a person knows it by.
  public let shown: String
  private let token: Secret?
  /// The approval of others that acts name, by its id.
  public var approval: String?

  /// - Throws: `contextCorrupt` when the token's file cannot be read.
  public init(_ context: ContextFile) throws {
    shown = context.url
    if let socket = context.socket, FileManager.default.fileExists(atPath: socket), context.tokenFile == nil {
      base = "http+unix://" + (socket.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? "")
      token = nil
      return
    }
    base = context.url
    guard let file = context.tokenFile else {
      token = nil
      return
    }
    do {
      let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int ?? 0
      guard mode & 0o077 == 0 else {
        throw AWError(
          .contextCorrupt, "The token file \(file) can be read by other users of this machine.",
          next: "Run: chmod 600 '\(file)'. If others may have read it, revoke the token and make a new one.")
      }
      let text = try String(contentsOfFile: file, encoding: .utf8)
      token = Secret(text.trimmingCharacters(in: .whitespacesAndNewlines))
    } catch let error as AWError {
      throw error
    } catch {
      throw AWError(
        .contextCorrupt, "The token file \(file) cannot be read.",
        next: "Put an API token there (mode 0600), or correct the context file.", cause: error)
    }
  }

  public enum Method: String, Sendable {
    case get = "GET"
    case post = "POST"
    case delete = "DELETE"
  }

  /// Sends a request and returns the JSON of its answer; null for an answer without body.
  ///
  /// - Parameters:
  ///   - path: behind `/api/v1`: `/orgs/acme`.
  ///   - query: empty values are left out.
  /// - Throws: `controlPlaneUnreachable`, or the problem that the control plane answers.
  public func send(
    _ method: Method, _ path: String, query: [(String, String?)] = [], body: (any Encodable & Sendable)? = nil
  ) async throws -> JSONValue {
    var request = HTTPClientRequest(url: base + "/api/v1" + path + Self.text(query))
    request.method = .init(rawValue: method.rawValue)
    request.headers.add(name: "accept", value: "application/json")
    request = authorised(request)
    if let body {
      request.headers.add(name: "content-type", value: "application/json")
      request.body = .bytes(ByteBuffer(data: try JSONEncoder().encode(body)))
    }
    let (status, bytes) = try await execute(request)
    let json = bytes.readableBytes == 0 ? JSONValue.null : try Self.parse(bytes, status)
    guard (200..<300).contains(status) else { throw Self.problem(json, status) }
    return json
  }

  /// What `/readyz` says, ready or not.
  public func readiness() async throws -> JSONValue {
    let (status, bytes) = try await execute(HTTPClientRequest(url: base + "/readyz"))
    return try Self.parse(bytes, status)
  }

  /// The metrics, as Prometheus text.
  public func metrics() async throws -> String {
    let (_, bytes) = try await execute(authorised(HTTPClientRequest(url: base + "/metrics")))
    return String(buffer: bytes)
  }

  private func authorised(_ request: HTTPClientRequest) -> HTTPClientRequest {
    var request = request
    if let approval { request.headers.add(name: "aw-approval", value: approval) }
    if let token { token.withText { request.headers.add(name: "authorization", value: "Bearer \($0)") } }
    return request
  }

  /// The same as a value.
  public func send<Value: Decodable & Sendable>(
    _ method: Method, _ path: String, query: [(String, String?)] = [], body: (any Encodable & Sendable)? = nil,
    as type: Value.Type
  ) async throws -> Value {
    try await send(method, path, query: query, body: body).decode(type)
  }

  /// Every item of a listing, page by page.
  public func all<Item: Decodable & Sendable>(
    _ path: String, query: [(String, String?)] = [], as type: Item.Type, max: Int = .max
  ) async throws -> [Item] {
    try await some(path, query: query, as: type, max: max).items
  }

  /// Items of a listing, page by page.
  ///
  /// - Parameter after: where an earlier answer ended; nil begins.
  /// - Returns: them, and where the next answer goes on; nil at the end.
  public func some<Item: Decodable & Sendable>(
    _ path: String, query: [(String, String?)] = [], as type: Item.Type, max: Int = .max, after: String? = nil
  ) async throws -> (items: [Item], next: String?) {
    var (items, cursor): ([Item], String?) = ([], after)
    repeat {
      let limit = String(min(200, max - items.count))
      let page = try await send(.get, path, query: query + [("limit", limit), ("cursor", cursor)])
      items += try (page["items"] ?? []).decode([Item].self)
      cursor = page["next"]?.stringValue
    } while cursor != nil && items.count < max
    return (items, cursor)
  }

  private func execute(_ request: HTTPClientRequest) async throws -> (Int, ByteBuffer) {
    do {
      let response = try await Self.http.execute(request, timeout: Self.deadline)
      return (Int(response.status.code), try await response.body.collect(upTo: Self.answerBytesMax))
    } catch {
      throw AWError(
        .controlPlaneUnreachable, "The control plane at \(shown) does not answer.",
        next: "Check that it runs ('aw serve' or 'aw up') and that the context file is its own.", cause: error)
    }
  }

  private static func parse(_ bytes: ByteBuffer, _ status: Int) throws -> JSONValue {
    do {
      return try JSONValue(parsing: Array(bytes.readableBytesView))
    } catch {
      throw AWError(
        .controlPlaneUnreachable, "What answers (status \(status)) is not a control plane of AW: it sends no JSON.",
        next: "Check the url in the context file.", cause: error)
    }
  }

  private static func problem(_ json: JSONValue, _ status: Int) -> AWError {
    guard let code = json["code"]?.stringValue, let detail = json["detail"]?.stringValue else {
      return AWError(
        .controlPlaneUnreachable, "The control plane answered with status \(status) and no explanation.",
        next: "Check the url in the context file.")
    }
    return AWError(ErrorCode.named(code), detail, next: json["next"]?.stringValue ?? "")
  }

  private static func text(_ query: [(String, String?)]) -> String {
    let pairs = query.compactMap { name, value in
      value.flatMap { $0.isEmpty ? nil : "\(name)=\($0.addingPercentEncoding(withAllowedCharacters: plain) ?? "")" }
    }
    return pairs.isEmpty ? "" : "?" + pairs.joined(separator: "&")
  }

  private static let plain = CharacterSet.alphanumerics.union(CharacterSet(charactersIn: "-._~"))
}
