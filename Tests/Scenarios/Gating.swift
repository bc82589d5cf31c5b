import Access
import Basics
import Client
import Credentials
import Deployment
import Evidence
import Foundation
import Testing

/// Gates in a scene: `ada` asks by a token of hers, `eve` signs.
struct Gating: Sendable {
  let client: APIClient
  /// The context file by which `ada` is somebody.
  let context: String

  /// The key of an approver whom every scene trusts; it is made once.
  static func eve() throws -> ApproverKey { try key.get() }
  private static let key = Result { try ApproverKey.make(name: "eve") }

  static func signed(_ request: GateRequest) throws -> Envelope {
    try Envelope(signing: try request.statement.bytes, by: [try eve()])
  }

  /// The table that puts the desk's door for accounts in the place of every vendor.
  static func endpoints(at port: Int) throws -> VendorEndpoints {
    try VendorEndpoints(parsing: Array(endpointsText(at: port).utf8))
  }

  static func endpointsText(at port: Int) -> String {
    let names = [
      "openrouter", "openai", "anthropic", "gemini", "telegram", "slack", "discord", "microsoft", "google", "twilio",
      "matrix",
    ]
    let table = Dictionary(
      uniqueKeysWithValues: names.map { ($0, JSONValue.string("http://127.0.0.1:\(port)/endpoints/\($0)")) })
    return JSONValue.object(table).canonical
  }

  init(in scene: Scene) async throws {
    let access = scene.control.access
    let link = try await access.signInLink(for: try Slug("ada"), reason: "setup")
    let session = try await access.signIn(link: link.secret, client: "test")
    let name = try Slug("t-" + Hex.encode([UInt8].random(count: 4)))
    try await self.init(scene, as: session.session.operatorID, name)
  }

  /// By a token of another owner.
  init(in scene: Scene, inviting name: String) async throws {
    let (access, name) = (scene.control.access, try Slug(name))
    let link = try await access.invite(name, role: .owner, as: .system("local"))
    let person = try await access.setPassword(Secret("four green lamps turn slowly"), link: link.secret)
    try await self.init(scene, as: person.id, try Slug("t-\(name)"))
  }

  private init(_ scene: Scene, as person: OperatorID, _ name: Slug) async throws {
    let token = try await scene.control.access.makeToken(
      name, role: .owner, lifetime: .seconds(3_600), as: .operator(person))
    let path = scene.directory + "/\(name)"
    try token.secret.withText { try $0.write(toFile: path, atomically: true, encoding: .utf8) }
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    let file = ContextFile(url: scene.running.url, tokenFile: path)
    try file.save(to: path + ".json")
    (context, client) = (path + ".json", try APIClient(file))
  }

  func ask(_ surfaces: [CredentialSurface], class kind: String = "real", org: String = "acme") async throws -> GateView
  {
    let body: JSONValue = [
      "org": .string(org), "surfaces": .array(surfaces.map { .string($0.rawValue) }), "class": .string(kind),
      "until": .string(Timestamp(Date()).advanced(by: .seconds(3_600)).description), "reason": "a pilot",
    ]
    return try await client.send(.post, "/gates", body: body, as: GateView.self)
  }

  /// A gate that is open.
  @discardableResult
  func open(_ surfaces: [CredentialSurface], class kind: String = "real", org: String = "acme") async throws -> GateView
  {
    let gate = try await ask(surfaces, class: kind, org: org)
    return try await client.send(
      .post, "/gates/\(gate.id)/envelope", body: try Self.signed(gate.request), as: GateView.self)
  }
}
