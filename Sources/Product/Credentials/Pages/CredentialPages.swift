import Access
import Basics
import Evidence
import Fleet
import Web

/// The pages of one credential, and its part of an Org's page. What is shown is what is known, never a value.
extension IntakeRoutes {
  private static let place = "/orgs/{org}/credentials/{surface}"

  var operatorPages: [Route] {
    [
      .page(Self.place, "One credential: what is known of it, and everything that can be done.") { request in
        try await credentialPage(request)
      },
      .form(Self.place + "/set", "Sets it, with a value that the browser sealed.", .credentialManage, .credentialSet) {
        try await setForm($0)
      },
      .form(Self.place + "/place", "Sets it, with a value that a vault holds.", .credentialManage, .credentialSet) {
        try await placeForm($0)
      },
      act("/validate", "Validates it.", .credentialValidated) { surface, org, request in
        _ = try await service.credentials.validate(surface, org: org, as: try request.actor)
      },
      act("/unfreeze", "Lifts its freeze.", .credentialUnfrozen) { surface, org, request in
        try await service.unfreeze(surface, org: org, as: try request.actor)
      },
      act("/remove", "Forgets it.", .credentialRemoved) { surface, org, request in
        try request.form().confirmed(surface.rawValue)
        _ = try await service.credentials.remove(surface, org: org, as: try request.actor)
      },
      .form(
        Self.place + "/request", "Makes a one-time link for the customer.", .credentialManage, .credentialRequested
      ) { try await requestForm($0) },
    ]
  }

  private func act(
    _ verb: String, _ summary: String, _ kind: EvidenceKind,
    _ body: @escaping @Sendable (CredentialSurface, Slug, WebRequest) async throws -> Void
  ) -> Route {
    .form(Self.place + verb, summary, .credentialManage, kind) { request in
      let (org, surface) = try Self.named(request)
      do {
        try await body(surface, org, request)
      } catch let problem as AWError where problem.code != .forbidden {
        return try await credentialPage(request, Draft(problem: problem))
      }
      return .redirect(to: Self.path(org, surface))
    }
  }

  private static func named(_ request: WebRequest) throws -> (Slug, CredentialSurface) {
    (try request.slug("org"), try CredentialSurface(named: try request.text("surface")))
  }

  private static func path(_ org: Slug, _ surface: CredentialSurface) -> String {
    "/orgs/\(org)/credentials/\(surface.rawValue)"
  }

  // MARK: - Forms

  /// What a refused form is shown again with. A value is never in it.
  private struct Draft {
    var problem: AWError?
    var form: FormFields?
    /// A link that was just made: shown once.
    var link: (url: String, view: IntakeLinkView)?
  }

  private func setForm(_ request: WebRequest) async throws -> WebResponse {
    let ((org, surface), form) = (try Self.named(request), try request.form())
    return try await kept(request, form, org, surface) {
      _ = try await service.set(
        .init(
          surface: surface.rawValue, class: form.filled("class"), settings: Self.settings(form),
          replacing: try Self.version(form)),
        sealed: try form.text("envelope"), org: org, as: try request.actor)
    }
  }

  private func placeForm(_ request: WebRequest) async throws -> WebResponse {
    let ((org, surface), form) = (try Self.named(request), try request.form())
    return try await kept(request, form, org, surface) {
      _ = try await service.credentials.set(
        .init(
          surface: surface.rawValue, class: form.filled("class"), vault: try form.text("vault"),
          key: try form.text("key"), settings: Self.settings(form), replacing: try Self.version(form)), value: nil,
        org: org, as: try request.actor)
    }
  }

  private func kept(
    _ request: WebRequest, _ form: FormFields, _ org: Slug, _ surface: CredentialSurface,
    _ body: () async throws -> Void
  ) async throws -> WebResponse {
    do {
      try await body()
    } catch let problem as AWError where problem.code != .forbidden {
      return try await credentialPage(request, Draft(problem: problem, form: form))
    }
    return .redirect(to: Self.path(org, surface))
  }

  private static func version(_ form: FormFields) throws -> Int {
    guard let version = Int(try form.text("replacing")) else {
      throw AWError(.usage, "The version that is replaced is no number.", next: "Load the page again.")
    }
    return version
  }

  private func requestForm(_ request: WebRequest) async throws -> WebResponse {
    let ((org, surface), form) = (try Self.named(request), try request.form())
    do {
      let ask = IntakeService.Ask(
        surface: surface.rawValue, class: form.filled("class"), from: form.filled("from"),
        purpose: form.filled("purpose"),
        hours: form.filled("hours").map { Int($0) ?? 0 })
      let (link, secret) = try await service.request(
        ask, org: org, as: try request.actor, named: request.caller?.name ?? "")
      let made = (url: address(of: secret), view: IntakeLinkView(link, org: org, at: link.askedAt))
      return try await credentialPage(request, Draft(link: made))
    } catch let problem as AWError where problem.code != .forbidden {
      return try await credentialPage(request, Draft(problem: problem, form: form))
    }
  }

  // MARK: - The page

  private func credentialPage(_ request: WebRequest, _ draft: Draft = Draft()) async throws -> WebResponse {
    let (org, surface) = try Self.named(request)
    let standing: CredentialStanding?
    do {
      standing = try await service.credentials.standing(surface, org: org)
    } catch let error as AWError where error.code == .credentialUnknown {
      standing = nil
    }
    let name = request.query("fixture") ?? ""
    let links = try await links(of: org).filter { $0.surface == surface }.prefix(5)
    let names = try await ActorNames(
      of: links.map { Optional($0.askedBy) } + [standing?.credential.setBy], in: service.credentials.store)
    let credential = standing?.credential
    var values: [String: JSONValue] = [
      "org": .string(org.text), "path": .string(Self.path(org, surface)),
      "credential": standing.map { Self.row($0, org, names) } ?? .null, "isThere": .bool(standing != nil),
      "version": .string(String(standing?.credential.version ?? 0)),
      "classes": .array(
        CredentialClass.allCases.map {
          [
            "name": .string($0.rawValue),
            "chosen": .bool(
              $0.rawValue == draft.form?.optional("class")
                || (draft.form == nil && $0 == standing?.credential.reference.kind)),
          ]
        }),
      "isFrozen": .bool(standing?.status == .frozen), "isValid": .bool(standing?.status == .valid),
      "mayValidate": .bool(standing != nil && standing?.status != .frozen && surface.vendor != nil),
      "settings": Self.settings(
        of: surface, draft.form, present: credential?.reference.kind == .fixture ? [:] : credential?.settings ?? [:]),
      "problem": Self.show(draft.problem),
      "mayAct": .bool(request.caller?.role == .owner), "confirm": .string(surface.rawValue),
      "vault": .string(service.credentials.vaults.writes),
      "otherVault": .string(draft.form?.optional("vault") ?? ""), "key": .string(draft.form?.optional("key") ?? ""),
      "from": .string(draft.form?.optional("from") ?? request.caller?.name ?? ""),
      "purpose": .string(
        draft.form?.optional("purpose") ?? "The \(surface.title) for the OpenClaw that is set up for you."),
      "hours": .string(draft.form?.optional("hours") ?? String(CredentialLimits.intakeHoursMax)),
      "hoursMax": .string(String(CredentialLimits.intakeHoursMax)),
      "links": .array(links.map { Self.row($0, names) }), "hasLinks": .bool(!links.isEmpty),
      "isOperator": true, "cli": .string("aw credential set \(org) \(surface.rawValue)"),
      "made": draft.link.map {
        [
          "text": .string($0.url), "until": .string($0.view.expiresAt.description),
          "untilText": .string($0.view.expiresAt.toTheMinute), "title": .string($0.view.title),
        ]
      } ?? .null, "fixtureName": .string(name),
    ]
    if !name.isEmpty {
      do {
        values["fixture"] = .string(try FixtureValue.make(surface, name: name))
      } catch {
        values["problem"] = Self.show(error)
      }
    }
    let binding = SealedValue.Binding(org: org, surface: surface, purpose: IntakeService.console)
    values.merge(try await seal(binding, surface)) { $1 }
    // A page that shows a link once must not read itself anew and lose it, and whoever types is left alone.
    var response = WebResponse.page(
      Page("\(surface.title) of \(org)", template: "credentials/credential", values: .object(values)),
      refusing: draft.problem)
    response.holdsSecret = draft.link != nil
    return response
  }

  /// The credentials of an Org, on its page.
  public func section(of org: OrgView, _ request: WebRequest) async throws -> Page.Section? {
    let standings = try await service.credentials.standings(org: org.slug)
    let kept = Set(standings.map(\.credential.surface))
    let links = try await links(of: org.slug).filter { $0.state == .open && !kept.contains($0.surface) }
    let names = try await ActorNames(of: standings.map(\.credential.setBy), in: service.credentials.store)
    return Page.Section(
      template: "credentials/section",
      values: [
        "org": .string(org.slug.text), "credentials": .array(standings.map { Self.row($0, org.slug, names) }),
        "hasCredentials": .bool(!standings.isEmpty), "asked": .array(links.map { Self.row($0, names) }),
        "linked": .array(
          LinkedChannel.allCases.map { ["title": .string($0.title), "words": .string($0.words)] }),
        "others": .array(
          CredentialSurface.allCases.filter { !kept.contains($0) }.map {
            ["title": .string($0.title), "to": .string(Self.path(org.slug, $0))]
          }),
      ])
  }

  private static func row(_ standing: CredentialStanding, _ org: Slug, _ names: ActorNames) -> JSONValue {
    let credential = standing.credential
    let validated = credential.lastValidated
    return [
      "surface": .string(credential.surface.rawValue), "title": .string(credential.surface.title),
      "to": .string(path(org, credential.surface)), "state": .string(standing.status.rawValue),
      "look": .string(look(standing.status)), "class": .string(credential.reference.kind.rawValue),
      "version": .integer(Int64(credential.version)), "reference": .string("\(credential.reference.ref)"),
      "vault": .string(credential.place.vault), "key": .string(credential.place.key),
      "fingerprint": .string(credential.fingerprint), "setBy": .string(names.words(for: credential.setBy)),
      "beside": .array(
        credential.surface.settings.compactMap { setting in
          credential.settings[setting.name].map {
            ["label": .string(setting.label), "text": .string($0)]
          }
        }),
      "at": .string(credential.setAt.description), "validatedAt": .string(validated?.at.description ?? ""),
      "validatedVersion": .string(validated.map { String($0.version) } ?? ""),
      "says": .string(says(standing)), "identity": .string(validated?.identity ?? ""),
      "resolvedAt": .string(credential.lastResolved?.at.description ?? ""),
      "resolvedBy": .string(credential.lastResolved?.by ?? ""),
      "shared": .string(standing.sharedWith.map(\.text).joined(separator: ", ")),
    ]
  }

  private static func row(_ link: IntakeLinkView, _ names: ActorNames) -> JSONValue {
    [
      "title": .string(link.title), "from": .string(link.from), "askedBy": .string(names.words(for: link.askedBy)),
      "class": .string(link.class.rawValue),
      "at": .string(link.askedAt.description), "state": .string(link.state.rawValue),
      "until": .string(link.expiresAt.description), "untilText": .string(link.expiresAt.toTheMinute),
      "version": .string(link.version.map { String($0) } ?? ""),
      "to": .string(path(link.org, link.surface)),
    ]
  }

  /// Why it stands as it does, and what to do about it here.
  private static func says(_ standing: CredentialStanding) -> String {
    let reason = standing.credential.lastValidated?.reason ?? ""
    return switch standing.status {
    case .present: "Nobody has tried this version yet: validate it."
    case .valid: reason
    case .shapeOnly:
      "Nobody can be asked about it: only its form was looked at. Whether it is the right one shows when the channel's "
        + "first message arrives."
    case .invalid: "\(reason). Set another value, or ask the customer for one."
    case .indeterminate: "Nothing is proven: \(reason). Validate it again."
    case .expired: "The validation is too old to count. Validate it again."
    case .shared: "Set a value that belongs to this Org alone."
    case .frozen:
      "The one-time link that brought it was used a second time. If you know who it was, lift the freeze; "
        + "else let the customer replace the value at the vendor, and ask for it anew."
    case .gateClosed: "No gate allows a credential of this class any more. Ask for a gate, or set a fixture."
    }
  }

  /// Which look of a status it has.
  private static func look(_ status: CredentialStatus) -> String {
    switch status {
    case .valid: "current"
    case .present, .shapeOnly: "unknown"
    case .indeterminate, .expired: "stale"
    case .invalid, .shared, .frozen, .gateClosed: "unreachable"
    }
  }
}
