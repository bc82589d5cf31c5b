import AsyncHTTPClient
import Basics
import Foundation
import NIOCore
import NIOHTTP1
import NIOSSL
import Vault

/// AWS Secrets Manager. Each value is a secret of its own, made once and never replaced.
///
/// The credentials are read from their file at every request, so that whatever rotates them needs to tell nobody.
final class AWSVault: SecretKeeper {
  private let settings: AWSSettings
  private let client: HTTPClient
  private let clock: WallClock

  init(_ settings: AWSSettings, clock: WallClock) throws {
    self.settings = settings
    self.clock = clock
    client = try VaultClient.make(settings.name, caFile: settings.caFile)
  }

  deinit {
    let client = client
    Task { try? await client.shutdown() }
  }

  func key(org: Slug, surface: CredentialSurface, version: Int, mark: String) -> String {
    "\(settings.prefix)/\(org)/\(surface.rawValue)/v\(version)-\(mark)"
  }

  /// `aw/acme/openai`, or `aw/acme/openai#key` for a member of a secret that holds a JSON object.
  func read(_ key: String) async throws -> Secret {
    let (name, member) = try split(key)
    let reply = try await send("GetSecretValue", ["SecretId": .string(name)])
    // A secret that is on its way out is not there.
    if case .taken = reply { throw VaultFailure.missing(key, in: settings.name) }
    guard case .done(let body) = reply else { throw failure(reply, key) }
    guard let text = body["SecretString"]?.stringValue else { throw VaultFailure.missing(key, in: settings.name) }
    guard let member else { return Secret(text) }
    guard let value = (try? JSONValue(parsing: text))?[member]?.stringValue else {
      throw VaultFailure.missing(key, in: settings.name)
    }
    return Secret(value)
  }

  func create(_ secret: Secret, at key: String) async throws {
    let (name, _) = try split(key)
    let body = secret.withText { text -> JSONValue in
      // The token makes a request that is repeated by the network one request.
      [
        "Name": .string(name), "SecretString": .string(text),
        "ClientRequestToken": .string(UUID().uuidString.lowercased()),
      ]
    }
    let reply = try await send("CreateSecret", body)
    guard case .done = reply else { throw failure(reply, key) }
  }

  /// At once and beyond recall: the default of AWS would keep it for 30 days.
  func destroy(_ key: String) async throws {
    let (name, _) = try split(key)
    let reply = try await send(
      "DeleteSecret", ["SecretId": .string(name), "ForceDeleteWithoutRecovery": true])
    switch reply {
    case .done, .missing: return
    default: throw failure(reply, key)
    }
  }

  func keys() async throws -> [String] {
    var (found, next): ([String], String?) = ([], nil)
    repeat {
      var body: [String: JSONValue] = [
        "MaxResults": 100, "Filters": [["Key": "name", "Values": [.string(settings.prefix + "/")]]],
      ]
      if let next { body["NextToken"] = .string(next) }
      let reply = try await send("ListSecrets", .object(body))
      guard case .done(let page) = reply else { throw failure(reply, settings.prefix) }
      // The filter matches beginnings of names, of whatever folder.
      let names = page["SecretList"]?.arrayValue?.compactMap { $0["Name"]?.stringValue } ?? []
      found += names.filter { $0.hasPrefix(settings.prefix + "/") }
      guard found.count <= CredentialLimits.keysMax else { throw VaultFailure.tooMany(settings.name) }
      next = page["NextToken"]?.stringValue
    } while next != nil
    return found
  }

  private func split(_ key: String) throws -> (name: String, member: String?) {
    let parts = key.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard key.utf8.count <= CredentialLimits.keyCharactersMax, KVSettings.isPath(parts[0]),
      parts.count == 1 || !parts[1].isEmpty
    else { throw VaultFailure.key(key, settings.name, "a name of letters, digits and ._-/, then # and a member") }
    return (parts[0], parts.count == 2 ? parts[1] : nil)
  }

  private func failure(_ reply: AWSReply, _ key: String) -> AWError {
    switch reply {
    case .missing: VaultFailure.missing(key, in: settings.name)
    case .taken: VaultFailure.taken(key, in: settings.name)
    case .denied(let why): VaultFailure.refused(settings.name, "it does not let AW do this (\(why))")
    case .throttled: VaultFailure.unreachable(settings.name, "it asks for fewer requests")
    case .failed(let why): VaultFailure.refused(settings.name, why)
    case .done: VaultFailure.refused(settings.name, "it answered with something that was not asked for")
    }
  }

  // MARK: - HTTP

  private func send(_ operation: String, _ body: JSONValue) async throws -> AWSReply {
    let bytes = Array(body.canonical.utf8)
    let headers = AWSSignature.headers(
      "POST", path: "/",
      headers: [
        "host": settings.host, "content-type": "application/x-amz-json-1.1",
        "x-amz-target": "secretsmanager.\(operation)",
      ], body: bytes, region: settings.region, service: "secretsmanager", credentials: try credentials(),
      at: clock.now)
    var request = HTTPClientRequest(url: settings.endpoint + "/")
    request.method = .POST
    for (name, value) in headers { request.headers.add(name: name, value: value) }
    request.body = .bytes(ByteBuffer(bytes: bytes))
    let (status, answer) = try await VaultClient.ask(settings.name, client, request)
    return AWSReply.read(status: status, body: answer)
  }

  private func credentials() throws -> AWSCredentials {
    let path = settings.credentialsFile
    let found: (bytes: [UInt8], status: stat)?
    do {
      found = try DurableFile.read(path)
    } catch {
      throw VaultFailure.refused(settings.name, "the file \(path.quoted) cannot be read")
    }
    guard let (bytes, status) = found, status.st_mode & 0o077 == 0 else {
      throw VaultFailure.refused(
        settings.name, "the file \(path.quoted) is missing, or can be read by others (chmod 600)")
    }
    guard let document = try? JSONValue(parsing: bytes), let id = document["accessKeyId"]?.stringValue,
      let secret = document["secretAccessKey"]?.stringValue
    else {
      throw VaultFailure.refused(
        settings.name, "the file \(path.quoted) has no accessKeyId and secretAccessKey in JSON")
    }
    return AWSCredentials(
      accessKeyID: id, secretAccessKey: Secret(secret),
      sessionToken: document["sessionToken"]?.stringValue.map { Secret($0) })
  }
}
