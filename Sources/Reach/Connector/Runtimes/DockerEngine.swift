import AsyncHTTPClient
import Basics
import Foundation
import NIOCore
import NIOFoundationCompat
import NIOHTTP1
import Synchronization

/// The Docker Engine's API over its unix socket; Podman's compatible socket answers the same calls.
final class DockerEngine: Sendable {
  /// An answer with a status that the caller did not expect, in the engine's own words.
  struct Refusal: Error, CustomStringConvertible {
    var status: Int
    var message: String
    var description: String { "\(status) \(message)" }
  }

  struct Version: Sendable, Equatable {
    var program: String
    var api: String
    var processors: Int
    /// A user in a container is another one to the kernel (`userns-remap`, rootless).
    var mapsUsers = false
  }

  /// The newest API that this code knows (Docker 28); older engines are spoken to in their own version.
  private static let newestAPI = (1, 47)
  /// What hardening needs, `host-gateway` above all, is in 1.40 and later (Docker 19.03, 20.10).
  private static let oldestAPI = (1, 40)

  let socket: String
  private let known = Mutex<Version?>(nil)

  init(socket: String) { self.socket = socket }

  // MARK: - Version

  /// The version to speak, asked for once.
  func version() async throws -> Version {
    if let version = known.withLock({ $0 }) { return version }
    return try await askVersion()
  }

  /// Asks again: the engine may have been upgraded under us.
  func askVersion() async throws -> Version {
    let answer = try JSONValue(parsing: try await send(.GET, "/version").expect(200))
    let newest = Self.number(answer["ApiVersion"]?.stringValue) ?? Self.oldestAPI
    let oldest = Self.number(answer["MinAPIVersion"]?.stringValue) ?? (1, 0)
    guard newest >= Self.oldestAPI, oldest <= Self.newestAPI else {
      throw AWError(
        .runtimeUnavailable,
        "The Docker Engine at \(socket) speaks API \(oldest.0).\(oldest.1) to \(newest.0).\(newest.1); AW speaks "
          + "\(Self.oldestAPI.0).\(Self.oldestAPI.1) to \(Self.newestAPI.0).\(Self.newestAPI.1).",
        next: newest < Self.oldestAPI ? "Upgrade Docker on the Host." : "Upgrade AW's Connector.")
    }
    let chosen = newest < Self.newestAPI ? newest : Self.newestAPI
    let api = "v\(chosen.0).\(chosen.1)"
    let info = try JSONValue(parsing: try await send(.GET, "/\(api)/info").expect(200))
    let version = Version(
      program: answer["Version"]?.stringValue ?? "of unknown version", api: api,
      processors: Int(info["NCPU"]?.intValue ?? 1), mapsUsers: Self.mapsUsers(info))
    known.withLock { $0 = version }
    return version
  }

  /// What the engine says of itself in `SecurityOptions`: `name=userns`, `name=rootless`.
  static func mapsUsers(_ info: JSONValue) -> Bool {
    (info["SecurityOptions"]?.arrayValue ?? []).contains { option in
      ["userns", "rootless"].contains { option.stringValue?.hasPrefix("name=\($0)") == true }
    }
  }

  private static func number(_ text: String?) -> (Int, Int)? {
    let parts = (text ?? "").split(separator: ".").compactMap { Int($0) }
    return parts.count == 2 ? (parts[0], parts[1]) : nil
  }

  // MARK: - Calls

  struct Answer: Sendable {
    var status: Int
    var body: [UInt8]

    /// - Throws: `Refusal` for every other status.
    @discardableResult
    func expect(_ statuses: Int...) throws -> [UInt8] {
      if statuses.contains(status) { return body }
      let message = (try? JSONValue(parsing: body))?["message"]?.stringValue
      throw Refusal(status: status, message: message ?? String(decoding: body.prefix(300), as: UTF8.self))
    }
  }

  /// - Parameters:
  ///   - path: below the version, such as `/containers/json`.
  ///   - timeMax: for the head of the answer.
  func call(
    _ method: HTTPMethod, _ path: String, query: [String: String] = [:], body: JSONValue? = nil,
    timeMax: Duration = RuntimeLimits.engineTimeMax
  ) async throws -> Answer {
    let version = try await version()
    var uri = URLComponents()
    uri.path = "/\(version.api)\(path)"
    if !query.isEmpty { uri.queryItems = query.sorted { $0.key < $1.key }.map { URLQueryItem(name: $0, value: $1) } }
    return try await send(method, uri.string ?? path, body: body, timeMax: timeMax)
  }

  private func send(
    _ method: HTTPMethod, _ uri: String, body: JSONValue? = nil, timeMax: Duration = RuntimeLimits.engineTimeMax
  ) async throws -> Answer {
    guard let url = URL(httpURLWithSocketPath: socket, uri: uri) else {
      throw AWError.engineUnavailable(socket, "its path is no path")
    }
    // AsyncHTTPClient tries to connect again and again until the deadline; a missing engine is told at once instead.
    let code = Self.knock(socket)
    guard code == 0 else { throw AWError.engineUnavailable(socket, String(cString: strerror(code))) }
    var request = HTTPClientRequest(url: url.absoluteString)
    request.method = method
    // AsyncHTTPClient sends no Host to a unix socket, and the engine refuses a request without one.
    request.headers.replaceOrAdd(name: "Host", value: "docker")
    if let body {
      request.headers.replaceOrAdd(name: "Content-Type", value: "application/json")
      request.body = .bytes(ByteBuffer(string: body.canonical))
    } else if method == .POST {
      // An empty body, not a missing one, makes it send `Content-Length: 0`.
      request.body = .bytes(ByteBuffer())
    }
    do {
      let limit = TimeAmount.milliseconds(timeMax.milliseconds)
      let response = try await HTTPClient.shared.execute(request, timeout: limit)
      let bytes = try await response.body.collect(upTo: RuntimeLimits.engineBodyBytesMax)
      return Answer(status: Int(response.status.code), body: Array(buffer: bytes))
    } catch let error where error is CancellationError || Task.isCancelled {
      throw CancellationError()
    } catch {
      throw AWError.engineUnavailable(socket, "it did not answer in time, or broke off", cause: error)
    }
  }

  /// Connects to a unix socket and hangs up: 0, or the errno that says why nobody is there.
  static func knock(_ path: String) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    let fits = withUnsafeMutableBytes(of: &address.sun_path) { room in
      // One byte stays zero: the end of the path.
      guard bytes.count < room.count else { return false }
      room.copyBytes(from: bytes)
      return true
    }
    guard fits else { return ENAMETOOLONG }
    let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return errno }
    defer { close(descriptor) }
    let connected = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    return connected == 0 ? 0 : errno
  }

  /// A point in time of the engine, which writes nanoseconds; nil for its "never" (year 1).
  static func timestamp(_ text: String?) -> Timestamp? {
    guard let text, !text.hasPrefix("0001-") else { return nil }
    guard let dot = text.firstIndex(of: ".") else { return Timestamp(text) }
    let digits = text[text.index(after: dot)...].prefix { $0.isNumber }
    let zone = text[digits.endIndex...]
    let milliseconds = (digits + "000").prefix(3)
    return Timestamp("\(text[..<dot]).\(milliseconds)\(zone)")
  }
}

extension AWError {
  static func engineUnavailable(_ socket: String, _ reason: String, cause: (any Error)? = nil) -> AWError {
    AWError(
      .runtimeUnavailable, "The Docker Engine at \(socket) cannot be used: \(reason).",
      next: "Install and start Docker on the Host, and let the Connector's user use its socket (group 'docker').",
      cause: cause)
  }

  /// What the engine's refusal means for an Instance.
  static func engine(_ refusal: DockerEngine.Refusal, doing what: String, port: Int) -> AWError {
    let words = refusal.message.lowercased()
    if words.contains("port is already allocated") || words.contains("address already in use") {
      return .portTaken(port, by: nil)
    }
    if words.contains("no space left on device") {
      return AWError(
        .runtimeDiskFull, "The Host's disk is full: the Docker Engine could not \(what).",
        next: "Free space there ('docker system df' tells what Docker uses), then try again.", cause: refusal)
    }
    return AWError(
      .runtimeFailed, "The Docker Engine refused to \(what): \(refusal.message.quoted).",
      next: "The words are Docker's own; correct what they name on the Host, then try again.", cause: refusal)
  }

  static func imageMissing(_ reference: String?) -> AWError {
    guard let reference else {
      return AWError(
        .runtimeImageMissing, "The Instance names no image, and the runtime 'docker' needs one.",
        next: "Name an image with its tag or digest, such as ghcr.io/openclaw/openclaw:2026.7.1-2.")
    }
    return AWError(
      .runtimeImageMissing, "The image \(reference.quoted) is not on this Host, and AW pulls none by itself.",
      next: "Run 'docker pull \(reference)' on the Host, then try again.")
  }
}
