import AsyncHTTPClient
import Basics
import Foundation
import NIOCore
import NIOHTTP1
import Vault

/// A KV engine, version 2, of HashiCorp Vault or OpenBao.
///
/// AW signs in with AppRole when it first needs to, and again when its token ends or is refused. Each value has a path
/// of its own that is written with check-and-set 0, so that nothing is ever replaced by accident.
actor KVVault: SecretKeeper {
  private struct Token {
    let secret: Secret
    let endsAt: ContinuousClock.Instant?
  }

  /// The member of a secret's data that AW writes.
  static let field = "value"

  private let settings: KVSettings
  private let client: HTTPClient
  private var token: Token?

  init(_ settings: KVSettings) throws {
    self.settings = settings
    client = try VaultClient.make(settings.name, caFile: settings.caFile)
  }

  deinit {
    let client = client
    Task { try? await client.shutdown() }
  }

  nonisolated func key(org: Slug, surface: CredentialSurface, version: Int, mark: String) -> String {
    "\(settings.prefix)/\(org)/\(surface.rawValue)/v\(version)-\(mark)#\(Self.field)"
  }

  func read(_ key: String) async throws -> Secret {
    let (path, field) = try split(key)
    let reply = try await send(.GET, "data", path, reads: .field(field))
    guard case .value(let secret) = reply else { throw failure(reply, key) }
    return secret
  }

  func create(_ secret: Secret, at key: String) async throws {
    let (path, field) = try split(key)
    let body = secret.withText { text -> JSONValue in
      ["options": ["cas": 0], "data": .object([field: .string(text)])]
    }
    let reply = try await send(.POST, "data", path, body: body)
    guard reply == .done else { throw failure(reply, key) }
  }

  /// With all its versions, beyond recall.
  func destroy(_ key: String) async throws {
    let (path, _) = try split(key)
    let reply = try await send(.DELETE, "metadata", path)
    guard reply == .done || reply == .missing else { throw failure(reply, key) }
  }

  /// By `list` and `subkeys`, which name what is there and show no value. A path whose newest version was deleted is
  /// there without a member.
  func keys() async throws -> [String] {
    var (folders, found) = ([settings.prefix], [String]())
    while let folder = folders.popLast() {
      guard let names = try await list(folder) else { continue }
      for name in names {
        let path = "\(folder)/\(name.hasSuffix("/") ? String(name.dropLast()) : name)"
        guard KVSettings.isPath(path) else { continue }
        if name.hasSuffix("/") { folders.append(path) } else { found += try await members(path) }
      }
      guard found.count + folders.count <= CredentialLimits.keysMax else { throw VaultFailure.tooMany(settings.name) }
    }
    return found.sorted()
  }

  private func list(_ folder: String) async throws -> [String]? {
    let reply = try await send(.GET, "metadata", folder + "?list=true", reads: .keys)
    if reply == .missing { return nil }
    guard case .names(let names) = reply else { throw failure(reply, folder) }
    return names
  }

  private func members(_ path: String) async throws -> [String] {
    let reply = try await send(.GET, "subkeys", path, reads: .subkeys)
    if reply == .missing { return [path] }
    guard case .names(let names) = reply else { throw failure(reply, path) }
    return names.isEmpty ? [path] : names.map { "\(path)#\($0)" }
  }

  /// `aw/acme/openai#value`: a path below the mount, and a member of what lies there.
  private func split(_ key: String) throws -> (path: String, field: String) {
    let parts = key.split(separator: "#", omittingEmptySubsequences: false).map(String.init)
    guard parts.count <= 2, key.utf8.count <= CredentialLimits.keyCharactersMax, KVSettings.isPath(parts[0]),
      parts.count == 1 || !parts[1].isEmpty
    else { throw VaultFailure.key(key, settings.name, "a path of letters, digits and ._-/, then # and a member") }
    return (parts[0], parts.count == 2 ? parts[1] : Self.field)
  }

  private func failure(_ reply: KVReply, _ key: String) -> AWError {
    switch reply {
    case .missing: VaultFailure.missing(key, in: settings.name)
    case .taken: VaultFailure.taken(key, in: settings.name)
    case .denied: VaultFailure.refused(settings.name, "AW's role may not do this at \(key.quoted)")
    case .sealed: VaultFailure.unreachable(settings.name, "it is sealed, or not started up yet")
    case .failed(let why): VaultFailure.refused(settings.name, why)
    case .value, .names, .done: VaultFailure.refused(settings.name, "it answered with something that was not asked for")
    }
  }

  // MARK: - HTTP

  /// Asks with the token at hand; one that is refused is replaced once, because it may just have ended.
  private func send(
    _ method: HTTPMethod, _ part: String, _ path: String, body: JSONValue? = nil,
    reads: KVReply.Reading = .nothing
  ) async throws -> KVReply {
    let url = "/\(settings.mount)/\(part)/\(path)"
    let known = token
    let reply = try await exchange(method, url, body, reads, with: try await signIn())
    guard reply == .denied, known != nil else { return reply }
    token = nil
    return try await exchange(method, url, body, reads, with: try await signIn())
  }

  private func exchange(
    _ method: HTTPMethod, _ url: String, _ body: JSONValue?, _ reads: KVReply.Reading,
    with token: Secret
  ) async throws -> KVReply {
    let (status, answer) = try await execute(method, url, body, token)
    return KVReply.read(status: status, body: answer, reads)
  }

  private func signIn() async throws -> Secret {
    if let token, token.endsAt.map({ $0 > .now }) ?? true { return token.secret }
    let secretID: Secret
    do {
      guard let (bytes, status) = try DurableFile.read(settings.secretIDFile), status.st_mode & 0o077 == 0 else {
        throw VaultFailure.refused(
          settings.name, "the file \(settings.secretIDFile.quoted) is missing, or can be read by others (chmod 600)")
      }
      secretID = Secret(String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
    } catch let failure as FileFailure {
      throw VaultFailure.refused(settings.name, "the file \(settings.secretIDFile.quoted) cannot be read: \(failure)")
    }
    let body = secretID.withText { text -> JSONValue in
      ["role_id": .string(settings.roleID), "secret_id": .string(text)]
    }
    let (status, answer) = try await execute(.POST, "/auth/approle/login", body, nil)
    guard (200..<300).contains(status), let text = answer?["auth"]?["client_token"]?.stringValue else {
      if KVReply.read(status: status, body: answer, .nothing) == .sealed { throw failure(.sealed, "") }
      throw VaultFailure.refused(settings.name, "AW's AppRole is not let in (status \(status))")
    }
    // Of 0 it never ends.
    let seconds = answer?["auth"]?["lease_duration"]?.intValue ?? 0
    let margin = min(CredentialLimits.tokenMargin, .seconds(seconds) / 2)
    let fresh = Token(
      secret: Secret(text), endsAt: seconds > 0 ? .now.advanced(by: .seconds(seconds) - margin) : nil)
    token = fresh
    return fresh.secret
  }

  private func execute(
    _ method: HTTPMethod, _ path: String, _ body: JSONValue?, _ token: Secret?
  ) async throws -> (status: Int, body: JSONValue?) {
    var request = HTTPClientRequest(url: settings.address + "/v1" + path)
    request.method = method
    request.headers.add(name: "x-vault-request", value: "true")
    if let namespace = settings.namespace { request.headers.add(name: "x-vault-namespace", value: namespace) }
    if let token { token.withText { request.headers.add(name: "x-vault-token", value: $0) } }
    if let body {
      request.headers.add(name: "content-type", value: "application/json")
      request.body = .bytes(ByteBuffer(string: body.canonical))
    }
    return try await VaultClient.ask(settings.name, client, request)
  }
}
