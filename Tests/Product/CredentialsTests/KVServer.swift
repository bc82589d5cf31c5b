import Basics
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import TestSupport

/// A KV engine, version 2, with AppRole, on the loopback: written from the published API of HashiCorp Vault and
/// OpenBao, because neither is packaged for the machines that test AW. What is wrong with a real one it cannot show.
final class KVServer: Sendable {
  struct Secrets {
    var roleID = "aw-role"
    var secretID = "aw-secret-id-0123456789"
    /// Path to versions; a version without data is deleted.
    var entries: [String: [[String: JSONValue]?]] = [:]
    var tokens: Set<String> = []
    var isSealed = false
    /// Paths below it may be used.
    var allowed = "aw/"
    var signIns = 0
    var lease: Int64 = 3_600
    /// Everything that was asked for, without bodies.
    var seen: [String] = []
  }

  let port: Int
  let state: Mutex<Secrets>
  private let channel: any Channel

  static func with<Value>(_ body: (KVServer) async throws -> Value) async throws -> Value {
    let server = try await KVServer()
    do {
      let value = try await body(server)
      try await server.channel.close()
      return value
    } catch {
      try? await server.channel.close()
      throw error
    }
  }

  private init() async throws {
    let server = Late<KVServer>()
    state = Mutex(Secrets())
    channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.configureHTTPServerPipeline()
          try channel.pipeline.syncOperations.addHandler(Handler(server))
        }
      }.bind(host: "127.0.0.1", port: 0).get()
    port = channel.localAddress?.port ?? 0
    server.set(self)
  }

  struct Reply {
    var status: Int
    var body: JSONValue?
    static func errors(_ status: Int, _ words: String...) -> Reply {
      Reply(status: status, body: ["errors": .array(words.map { .string($0) })])
    }
  }

  func answer(_ method: String, _ uri: String, _ token: String?, _ body: JSONValue?) -> Reply {
    state.withLock { state in
      state.seen.append("\(method) \(uri)")
      if state.isSealed { return .errors(503, "Vault is sealed") }
      if uri == "/v1/auth/approle/login" { return Self.signIn(body, &state) }
      guard let token, state.tokens.contains(token) else { return .errors(403, "permission denied") }
      for part in ["data", "metadata", "subkeys"] {
        let front = "/v1/secret/\(part)/"
        guard uri.hasPrefix(front) else { continue }
        let isList = uri.hasSuffix("?list=true")
        let path = String(uri.dropFirst(front.count).dropLast(isList ? "?list=true".count : 0))
        guard (path + "/").hasPrefix(state.allowed) else {
          return .errors(403, "1 error occurred:\n\t* permission denied\n\n")
        }
        switch part {
        case "data": return Self.data(method, path, body, &state)
        case "subkeys": return Self.subkeys(path, state)
        default: return isList ? Self.list(path, state) : Self.metadata(method, path, &state)
        }
      }
      return .errors(404)
    }
  }

  private static func signIn(_ body: JSONValue?, _ state: inout Secrets) -> Reply {
    guard body?["role_id"]?.stringValue == state.roleID, body?["secret_id"]?.stringValue == state.secretID else {
      return .errors(400, "invalid role or secret ID")
    }
    state.signIns += 1
    let token = "hvs.token-\(state.signIns)"
    state.tokens.insert(token)
    return Reply(
      status: 200,
      body: ["auth": ["client_token": .string(token), "lease_duration": .integer(state.lease), "renewable": true]])
  }

  private static func data(_ method: String, _ path: String, _ body: JSONValue?, _ state: inout Secrets) -> Reply {
    let versions = state.entries[path] ?? []
    switch method {
    case "GET":
      guard let last = versions.last else { return .errors(404) }
      let metadata: JSONValue = ["version": .integer(Int64(versions.count)), "destroyed": false]
      guard let newest = last else { return Reply(status: 404, body: ["data": ["data": nil, "metadata": metadata]]) }
      return Reply(status: 200, body: ["data": ["data": .object(newest), "metadata": metadata]])
    case "POST":
      if let cas = body?["options"]?["cas"]?.intValue, cas != Int64(versions.count) {
        return .errors(400, "check-and-set parameter did not match the current version")
      }
      guard let members = body?["data"]?.objectValue else { return .errors(400, "no data provided") }
      state.entries[path] = versions + [members]
      return Reply(status: 200, body: ["data": ["version": .integer(Int64(versions.count + 1))]])
    case "DELETE":
      if !versions.isEmpty { state.entries[path] = Array(versions.dropLast()) + [nil] }
      return Reply(status: 204)
    default: return .errors(405)
    }
  }

  /// The names right below a folder; those of folders end with a slash.
  private static func list(_ folder: String, _ state: Secrets) -> Reply {
    let below = state.entries.keys.filter { $0.hasPrefix(folder + "/") }.map { $0.dropFirst(folder.count + 1) }
    guard !below.isEmpty else { return .errors(404) }
    let keys = Set(
      below.map { name in
        let parts = name.split(separator: "/", maxSplits: 1).map(String.init)
        return parts.count == 2 ? parts[0] + "/" : parts[0]
      })
    return Reply(status: 200, body: ["data": ["keys": .array(keys.sorted().map { .string($0) })]])
  }

  private static func subkeys(_ path: String, _ state: Secrets) -> Reply {
    guard let last = state.entries[path]?.last else { return .errors(404) }
    guard let newest = last else { return Reply(status: 404, body: ["data": ["subkeys": nil]]) }
    return Reply(status: 200, body: ["data": ["subkeys": .object(newest.mapValues { _ in .null })]])
  }

  private static func metadata(_ method: String, _ path: String, _ state: inout Secrets) -> Reply {
    guard method == "DELETE" else { return .errors(405) }
    state.entries[path] = nil
    return Reply(status: 204)
  }

  private final class Handler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let server: Late<KVServer>
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()

    init(_ server: Late<KVServer>) { self.server = server }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      switch unwrapInboundIn(data) {
      case .head(let head):
        self.head = head
        body.clear()
      case .body(var bytes): body.writeBuffer(&bytes)
      case .end:
        guard let head, let server = server.value else { return context.close(promise: nil) }
        let document = try? JSONValue(parsing: Array(body.readableBytesView))
        let reply = server.answer(
          head.method.rawValue, head.uri, head.headers.first(name: "x-vault-token"), document)
        let text = reply.body?.canonical ?? ""
        let fields = HTTPHeaders([("content-length", String(text.utf8.count)), ("content-type", "application/json")])
        context.write(
          wrapOutboundOut(.head(.init(version: .http1_1, status: .init(statusCode: reply.status), headers: fields))),
          promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
      }
    }
  }
}
