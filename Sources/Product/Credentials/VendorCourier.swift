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

  /// The address of a path at the stand-in of a surface's vendor.
  func address(of surface: CredentialSurface, _ path: String) -> URL? {
    URL(string: "\(url)/\(VendorCheck(surface: surface).vendor)\(path)")
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
  var within = CredentialLimits.vendorWithin

  /// Where an Instance asks a model provider for completions; nil for channels, and where there is no such place.
  func completions(of credential: Credential) -> URL? {
    let surface = credential.surface
    guard let path = surface.completions else { return nil }
    if credential.reference.kind == .fixture { return vendors?.address(of: surface, path) }
    return endpoints.base(of: VendorCheck(surface: surface).vendor).flatMap { URL(string: $0 + path) }
  }

  typealias Found = (outcome: Validation.Outcome, reason: String, identity: String?)

  /// - Throws: `validatorMissing` when there are no simulated vendors.
  func validate(_ value: Secret, of credential: FixtureSecretRef, _ surface: CredentialSurface) async throws -> Found {
    guard let vendors else { throw FixtureVendors.missing }
    let check = VendorCheck(surface: surface)
    return try await validate(value) { await ask(check, $0, at: "\(vendors.url)/\(check.vendor)") }
  }

  func validate(_ value: Secret, allowedBy gate: CredentialGate) async throws -> Found {
    try await validate(value) { try await look($0, gate.surface) }
  }

  /// Asks once what the vendor says to a value, without a corrupted copy: enough to show that it is refused.
  func reading(
    of value: Secret, _ credential: FixtureSecretRef, _ surface: CredentialSurface
  ) async throws -> VendorCheck.Reading {
    guard let vendors else { throw FixtureVendors.missing }
    let check = VendorCheck(surface: surface)
    return await ask(check, value, at: "\(vendors.url)/\(check.vendor)")
  }

  func reading(of value: Secret, allowedBy gate: CredentialGate) async throws -> VendorCheck.Reading {
    try await look(value, gate.surface)
  }

  /// At the vendor itself, within the budget.
  private func look(_ value: Secret, _ surface: CredentialSurface) async throws -> VendorCheck.Reading {
    let check = VendorCheck(surface: surface)
    guard let base = endpoints.base(of: check.vendor) else { return .unclear("AW knows no address of the vendor") }
    return try await budget.spend(on: surface) { await ask(check, value, at: base) }
  }

  /// One validation: the value, then a corrupted copy, which is tried only when the value was let in. A vendor that
  /// counts refusals (Discord bans for 10,000 in 10 minutes) is so asked at most once in vain.
  private func validate(
    _ value: Secret, _ ask: (Secret) async throws -> VendorCheck.Reading
  ) async throws -> Found {
    let real = try await ask(value)
    var control: VendorCheck.Reading?
    var identity: String?
    if case .accepted(let found) = real {
      identity = found
      if let corrupted = ValidationVerdict.corrupted(value) { control = try await ask(corrupted) }
    }
    let (outcome, reason) = ValidationVerdict.outcome(of: real, control: control)
    return (outcome, reason, outcome == .valid ? identity : nil)
  }

  private func ask(_ check: VendorCheck, _ value: Secret, at base: String) async -> VendorCheck.Reading {
    let question = check.question(with: value)
    var request = HTTPClientRequest(url: question.path.withText { base + $0 })
    for (name, value) in question.headers { value.withText { request.headers.add(name: name, value: $0) } }
    request.headers.add(name: "user-agent", value: "AW")
    let prepared = request
    // One client a question: validations are rare, and nothing of them is to outlive them.
    var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
    configuration.httpVersion = .http1Only
    configuration.connectionPool.retryConnectionEstablishment = false
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
}
