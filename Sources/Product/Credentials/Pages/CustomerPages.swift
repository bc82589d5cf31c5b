import Access
import Basics
import Evidence
import Fleet
import Web

/// What a customer sees, who is nobody to AW: the link is the proof. No value is ever in what they send but sealed.
extension IntakeRoutes {
  private static let isTheProof = Route.Guard.anyone(because: "The one-time link is the proof, and works once.")

  var customerPages: [Route] {
    [
      page("/intake", "Where a one-time link leads; looking at it does not use it up.") { _ in
        .page(Page("A credential is asked of you", template: "credentials/intake-open"))
      },
      page("/intake/thanks", "What a customer sees when the credential is in the vault.") { _ in
        .page(Page("Thank you", template: "credentials/intake-thanks"))
      },
      form("/intake", "Shows who asks, for what, where it is kept and until when.", .intakeReused) { request in
        let form = try request.form()
        do {
          let code = try form.secret("code")
          let (link, org) = try await service.look(code, address: request.address)
          return try await givePage(link, org, code: code, problem: nil)
        } catch let problem as AWError {
          return Self.ended(problem)
        }
      },
      form("/intake/value", "Takes the sealed value.", .credentialSet) { try await give($0) },
    ]
  }

  private func page(_ path: String, _ summary: String, handler: @escaping Route.Handler) -> Route {
    Route(.get, path, summary, allowed: Self.isTheProof, effect: .reads, audience: .page, handler: handler)
  }

  private func form(
    _ path: String, _ summary: String, _ kind: EvidenceKind, handler: @escaping Route.Handler
  ) -> Route {
    Route(
      .post, path, summary, allowed: Self.isTheProof, effect: .writes(kind), audience: .form,
      bodyBytesMax: WebLimits.formBytesMax, handler: handler)
  }

  private func give(_ request: WebRequest) async throws -> WebResponse {
    let form = try request.form()
    let code = try form.secret("code")
    do {
      _ = try await service.give(
        try form.text("envelope"), settings: Self.settings(form), code: code, address: request.address)
      return .redirect(to: "/intake/thanks")
    } catch let problem as AWError where Self.canBePutRight(problem) {
      let (link, org) = try await service.look(code, address: request.address)
      return try await givePage(link, org, code: code, problem: problem, form: form)
    } catch let problem as AWError {
      return Self.ended(problem)
    }
  }

  /// What the customer can put right in the same form: the link is not used up.
  private static func canBePutRight(_ problem: AWError) -> Bool {
    [.credentialShape, .credentialNotFixture, .credentialEnvelope, .vaultUnreachable, .conflict, .usage]
      .contains(problem.code)
  }

  private func givePage(
    _ link: IntakeLink, _ org: Org, code: Secret, problem: AWError?, form: FormFields? = nil
  ) async throws -> WebResponse {
    let seal = try await seal(
      .init(org: org.slug, surface: link.surface, purpose: IntakeService.purpose(link)), link.surface)
    let shown = Self.show(problem.map { Self.toCustomer($0, link) })
    var values: [String: JSONValue] = code.withText { code in
      [
        "from": .string(link.from), "org": .string(org.name),
        "slug": .string(org.name == org.slug.text ? "" : org.slug.text),
        "title": .string(link.surface.title), "purpose": .string(link.purpose),
        "vault": .string(service.credentials.vaults.writes), "until": .string(link.expiresAt.description),
        "untilText": .string(link.expiresAt.toTheMinute), "code": .string(code), "problem": shown,
        "isTest": .bool(link.kind == .fixture),
        "settings": link.kind == .fixture ? [] : Self.settings(of: link.surface, form),
      ]
    }
    values.merge(seal) { $1 }
    if link.kind == .fixture { values["label"] = .string("Test value (\(link.surface.title))") }
    var response = WebResponse.page(
      Page("A credential is asked of you", template: "credentials/intake", values: .object(values)),
      refusing: problem)
    // The code goes back to the browser that sent it, in a page that is not stored.
    response.holdsSecret = true
    return response
  }

  private static func ended(_ problem: AWError) -> WebResponse {
    .page(
      Page("This link does not work", template: "credentials/intake-ended", values: ["problem": show(problem)]),
      refusing: problem)
  }

  /// A customer has no command line, and no words of AW's own: what is wrong and what is next is said in theirs.
  private static func toCustomer(_ problem: AWError, _ link: IntakeLink) -> AWError {
    switch problem.code {
    case .vaultUnreachable:
      return AWError(
        problem.code, problem.message, next: "Nothing was kept, and the link still works: try again in some minutes.")
    case .conflict:
      return AWError(
        problem.code, problem.message, next: "Nothing was kept: load the link again, and enter it there.")
    case .credentialNotFixture:
      return AWError(
        problem.code, "This looks like a real one, and a test value is asked for. It was not kept.",
        next: "If it is a real one, replace it where you got it, because it has travelled. "
          + "Then enter the test value that \(link.from) gave you.")
    case .credentialShape where link.kind == .fixture:
      return AWError(
        problem.code, "This is not the test value that is asked for.",
        next: "Nothing was kept, and the link still works: enter the test value that \(link.from) gave you.")
    default:
      return AWError(
        problem.code, problem.message,
        next: "Nothing was kept, and the link still works: check that all of it was copied, and enter it again.")
    }
  }

  /// What a form says of a credential's settings.
  static func settings(_ form: FormFields) -> [String: String] {
    let names = Set(CredentialSurface.allCases.flatMap(\.settings).map(\.name))
    return Dictionary(
      uniqueKeysWithValues: names.compactMap { name in form.filled("setting:" + name).map { (name, $0) } })
  }

  /// What the partial `credentials/settings` shows.
  static func settings(
    of surface: CredentialSurface, _ form: FormFields?, present: [String: String] = [:]
  ) -> JSONValue {
    .array(
      surface.settings.map { setting in
        [
          "field": .string("setting:" + setting.name), "label": .string(setting.label),
          "example": .string(setting.example),
          "entered": .string(form?.optional("setting:" + setting.name) ?? present[setting.name] ?? ""),
        ]
      })
  }

  static func show(_ problem: AWError?) -> JSONValue {
    guard let problem else { return .null }
    return ["detail": .string(problem.message), "next": .string(problem.next), "code": .string(problem.code.id)]
  }

  /// What the partial `credentials/seal` shows.
  func seal(_ binding: SealedValue.Binding, _ surface: CredentialSurface) async throws -> [String: JSONValue] {
    let key = try await service.keys.publicKey
    return [
      "sealKey": .string(key.key), "sealName": .string(key.name), "sealInfo": .string(SealedValue.info),
      "sealAad": .string(binding.text), "surface": .string(surface.rawValue), "label": .string(surface.title),
    ]
  }
}
