import Addresses
import AsyncHTTPClient
import Basics
import Foundation
import NIOCore
import NIOHTTP1

/// The simulated vendors: where fixtures are validated, and the only place they are ever sent to.
public struct FixtureVendors: Sendable {
  let url: String

  /// - Parameter url: `http://host:port/vendors`; each vendor has its name behind it.
  public init(url: URL) {
    let text = url.absoluteString
    self.url = text.hasSuffix("/") ? String(text.dropLast()) : text
  }

  func base(of vendor: CredentialVendor) -> String { "\(url)/\(vendor.rawValue)" }

  /// The address of a path at the stand-in of a surface's vendor; nil when nobody is asked about it.
  func address(of surface: CredentialSurface, _ path: String) -> URL? {
    surface.vendor.flatMap { URL(string: base(of: $0) + path) }
  }

  static var missing: AWError {
    AWError(
      .validatorMissing, "This control plane has no simulated vendors, so fixtures cannot be validated.",
      next: "Start it with --fixture-vendors URL, or use 'aw up'.")
  }
}

/// Asks vendors. A fixture goes to the simulated ones by its type; a value of a gated class goes to the vendor itself,
/// and only with a gate in hand.
struct VendorCourier: Sendable {
  let vendors: FixtureVendors?
  let endpoints: VendorEndpoints
  let budget: EgressBudget
  let clock: WallClock
  var within = CredentialLimits.vendorWithin
  /// Of the servers that credentials' own settings name.
  var resolver = AddressResolver.system

  /// Where an Instance asks a model provider for completions; nil for channels, and where there is no such place.
  func completions(of credential: Credential) -> URL? {
    let surface = credential.surface
    guard let path = surface.completions else { return nil }
    if credential.reference.kind == .fixture { return vendors?.address(of: surface, path) }
    return surface.vendor.flatMap(endpoints.base(of:)).flatMap { URL(string: $0 + path) }
  }

  typealias Found = (outcome: Validation.Outcome, reason: String, identity: String?)

  /// - Throws: `validatorMissing` when there are no simulated vendors.
  func validate(_ value: Secret, of credential: FixtureSecretRef, _ check: VendorCheck) async throws -> Found {
    guard let vendors else { throw FixtureVendors.missing }
    return try await validate(value, check) { await ask(check, $0, at: vendors.base(of: check.vendor)) }
  }

  func validate(_ value: Secret, allowedBy gate: CredentialGate, _ check: VendorCheck) async throws -> Found {
    try await validate(value, check) { try await look($0, check, allowedBy: gate) }
  }

  /// Asks once what the vendor says to a value, without a corrupted copy: enough to show that it is refused.
  func reading(
    of value: Secret, _ credential: FixtureSecretRef, _ check: VendorCheck
  ) async throws -> VendorCheck.Reading {
    guard let vendors else { throw FixtureVendors.missing }
    guard let proof = check.proof(of: value, at: clock.now) else { return Self.unproven }
    return await ask(check, proof, at: vendors.base(of: check.vendor))
  }

  func reading(
    of value: Secret, allowedBy gate: CredentialGate, _ check: VendorCheck
  ) async throws -> VendorCheck.Reading {
    guard let proof = check.proof(of: value, at: clock.now) else { return Self.unproven }
    return try await look(proof, check, allowedBy: gate)
  }

  private static let keyless = "it has no key that can sign"
  private static let unproven = VendorCheck.Reading.unclear(keyless)

  /// At the vendor itself, within the budget.
  private func look(
    _ proof: Secret, _ check: VendorCheck, allowedBy gate: CredentialGate
  ) async throws -> VendorCheck.Reading {
    // A gate is for one surface: with that of another one nothing is asked.
    guard gate.surface == check.surface else { throw CredentialGuardrails.refusal(gate.class.credentialClass) }
    if let base = endpoints.base(of: check.vendor) {
      return try await budget.spend(at: check.vendor) { await ask(check, proof, at: base) }
    }
    guard let server = check.settings["homeserver"], let host = URL(string: server)?.host() else {
      return .unclear("AW knows no address of the vendor")
    }
    switch await pinned(host) {
    case .failure(let refusal): return .unclear(refusal.why)
    case .success(let address):
      return try await budget.spend(at: check.vendor) { await ask(check, proof, at: server, pinning: (host, address)) }
    }
  }

  private struct Unreached: Error {
    let why: String
  }

  /// An address of a server that somebody named. AW's own neighbours are none, and what was checked is connected to.
  private func pinned(_ host: String) async -> Result<NetworkAddress, Unreached> {
    do {
      let found = try await resolver.find(host, allowing: [])
      if let first = found.checked.first { return .success(first.address) }
      let refused = found.refused.prefix(3).joined(separator: ", ")
      return .failure(
        Unreached(why: refused.isEmpty ? "its server's name has no address" : "its server is \(refused)"))
    } catch {
      return .failure(Unreached(why: "its server's name does not resolve"))
    }
  }

  /// One validation: the value, then a corrupted copy, which is tried only when the value was let in. A vendor that
  /// counts refusals (Discord bans for 10,000 in 10 minutes) is so asked at most once in vain.
  private func validate(
    _ value: Secret, _ check: VendorCheck, _ ask: (Secret) async throws -> VendorCheck.Reading
  ) async throws -> Found {
    guard let proof = check.proof(of: value, at: clock.now) else { return (.indeterminate, Self.keyless, nil) }
    let real = try await ask(proof)
    var control: VendorCheck.Reading?
    var identity: String?
    if case .accepted(let found) = real {
      identity = found ?? check.claim(of: value)
      if let corrupted = check.corrupted(proof) { control = try await ask(corrupted) }
    }
    let (outcome, reason) = ValidationVerdict.outcome(of: real, control: control)
    return (outcome, reason, outcome == .valid ? identity : nil)
  }

  /// - Parameter pinning: a name that was resolved, and the address that it is connected to.
  private func ask(
    _ check: VendorCheck, _ proof: Secret, at base: String, pinning: (host: String, address: NetworkAddress)? = nil
  ) async -> VendorCheck.Reading {
    let prepared = Self.request(check.question(with: proof), at: base)
    // One client a question: validations are rare, and nothing of them is to outlive them.
    var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
    configuration.httpVersion = .http1Only
    configuration.connectionPool.retryConnectionEstablishment = false
    if let pinning { configuration.dnsOverride = [pinning.host: pinning.address.description] }
    let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    let reading: VendorCheck.Reading
    do {
      let answer = try await Deadline.run(within) {
        let response = try await client.execute(prepared, timeout: .seconds(60))
        let body = try await response.body.collect(upTo: CredentialLimits.answerBytesMax)
        return VendorCheck.Answer(
          status: Int(response.status.code),
          headers: Dictionary(response.headers.map { ($0.name.lowercased(), $0.value) }) { first, _ in first },
          body: Array(body.readableBytesView))
      }
      reading = answer.map { check.reading(of: $0) } ?? .unclear("no answer within \(within.words)")
    } catch {
      // The error can hold the address, and with that a token.
      reading = .unclear("the vendor cannot be reached")
    }
    // What it still holds is closed; it has nothing more to say.
    try? await client.shutdown()
    return reading
  }

  private static func request(_ question: VendorCheck.Question, at base: String) -> HTTPClientRequest {
    var request = HTTPClientRequest(url: question.path.withText { base + $0 })
    request.method = question.method == .post ? .POST : .GET
    for (name, value) in question.headers { value.withText { request.headers.add(name: name, value: $0) } }
    request.headers.add(name: "user-agent", value: "AW")
    if let body = question.body { request.body = .bytes(body.withBytes { ByteBuffer(bytes: $0) }) }
    return request
  }
}
