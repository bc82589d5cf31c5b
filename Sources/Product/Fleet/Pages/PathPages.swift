import Access
import Basics
import Evidence
import Foundation
import HTTPTypes
import Paths
import Web

/// The page of an Instance's control path: what it is, and the form that checks another one and then switches to it.
extension FleetRoutes {
  var pathPages: [Route] {
    [
      .page("/instances/{instance}/path", "How an Instance is reached, and the form to change that.") { request in
        try await pathPage(request, kind: try request.query("kind").map { try PathKind.named($0) })
      },
      // Keys and certificates are longer than what people type elsewhere.
      Route(
        .post, "/instances/{instance}/path", "Checks another path, or switches to the one that was checked.",
        allowed: .permission(.instanceControl), effect: .writes(.instancePathSwitched), audience: .form
      ) { try await pathForm($0) },
    ]
  }

  private func pathForm(_ request: WebRequest) async throws -> WebResponse {
    let (slug, actor, form) = (try request.slug("instance"), try request.actor, try request.form())
    let kind = try PathKind.named(form.text("kind"))
    do {
      if let mark = form.filled("checked") {
        let wanted = try rehearsed.take(mark, of: slug, by: actor, at: reader.clock.now)
        _ = try await service.switchPath(of: slug, to: wanted, as: actor)
        return .redirect(to: "/instances/\(slug)/path")
      }
      let wanted = try Self.pathBody(form, kind).request()
      let made = try await service.switchPath(of: slug, to: wanted, as: actor, dryRun: true)
      let mark = rehearsed.hold(wanted, of: slug, by: actor, at: reader.clock.now)
      return try await pathPage(request, kind: kind, checked: (made, mark))
    } catch let problem as AWError where problem.code != .forbidden {
      return try await pathPage(request, kind: kind, form: form, problem: problem)
    }
  }

  /// What the form says, as a program would say it.
  private static func pathBody(_ form: FormFields, _ kind: PathKind) throws(AWError) -> PathBody {
    // Browsers end lines as HTTP does, and keys must not.
    func lines(_ name: String) -> String {
      (form.optional(name) ?? "").replacing("\r\n", with: "\n").trimmingCharacters(in: .whitespacesAndNewlines)
    }
    let port = try Self.port(lines("port"))
    switch kind {
    case .gateway: return PathBody(kind: kind.rawValue)
    case .ssh:
      return PathBody(
        kind: kind.rawValue,
        ssh: .init(
          address: lines("address"), port: port, user: lines("user"), hostKeys: lines("hostKeys"), key: lines("key")))
    case .cloudflared:
      let (authority, tunnel) = (lines("authority"), lines("tunnel"))
      return PathBody(
        kind: kind.rawValue,
        cloudflared: .init(
          hostname: lines("hostname"), port: port, authority: authority.isEmpty ? nil : authority + "\n",
          allowsPrivate: lines("allowsPrivate").split { $0 == "," || $0.isWhitespace }.map(String.init),
          clientID: lines("clientID"), clientSecret: lines("clientSecret"),
          tunnelCredentials: tunnel.isEmpty ? nil : tunnel))
    }
  }

  private static func port(_ text: String) throws(AWError) -> Int? {
    guard !text.isEmpty else { return nil }
    guard let port = Int(text) else {
      throw AWError(.pathInvalid, "The port \(text.quoted) is no number.", next: "Correct it, or leave it empty.")
    }
    return port
  }

  // MARK: - The page

  /// What of the form is given back after a refusal: never a secret.
  private static let openFields = ["address", "port", "user", "hostKeys", "hostname", "authority", "allowsPrivate"]

  private static func words(_ kind: PathKind) -> String {
    switch kind {
    case .gateway: "The Host's own link, which the Connector dials. It needs nothing more."
    case .ssh: "A port of the Host's loopback that OpenSSH forwards: the path of older set-ups."
    case .cloudflared: "The Instance's public hostname, which cloudflared serves and Cloudflare Access guards."
    }
  }

  private func pathPage(
    _ request: WebRequest, kind: PathKind?, form: FormFields? = nil,
    checked: (made: FleetService.PathSwitch, mark: String)? = nil, problem: AWError? = nil
  ) async throws -> WebResponse {
    let slug = try request.slug("instance")
    let view = try await reader.instance(slug)
    let mayAct = request.caller?.role == .owner
    var values: [String: JSONValue] = [
      "slug": .string(slug.text), "kind": .string(view.path.kind.rawValue),
      "words": .string(Self.words(view.path.kind)), "target": .string(view.path.target ?? ""),
      "hostKeys": .array(view.path.hostKeys.map { .string($0) }),
      "references": .array(view.path.references.map { .string($0) }),
      "hasReferences": .bool(!view.path.references.isEmpty),
      "check": view.chain.first { $0.link == .host }.map(Self.pathCheck) ?? .null,
      "mayAct": .bool(mayAct && view.state == .active), "mustRun": .bool(mayAct && view.state != .active),
      "kinds": .array(
        PathKind.allCases.map { one in
          [
            "name": .string(one.rawValue), "isChosen": .bool(one == kind), "isInUse": .bool(one == view.path.kind),
            "to": .string("/instances/\(slug)/path?kind=\(one.rawValue)"),
          ]
        }),
      "problem": problem.map {
        ["detail": .string($0.message), "next": .string($0.next), "code": .string($0.code.id)]
      } ?? .null,
    ]
    if let checked { values["plan"] = Self.plan(checked.made, checked.mark) }
    if let kind, checked == nil {
      var fields: [String: JSONValue] = ["kind": .string(kind.rawValue), "about": .string(Self.words(kind))]
      for name in Self.openFields { fields[name] = .string(form?.optional(name) ?? "") }
      fields["isSSH"] = .bool(kind == .ssh)
      fields["isCloudflared"] = .bool(kind == .cloudflared)
      fields["instancePort"] = .string(view.port.map { "\($0)" } ?? "")
      values["form"] = .object(fields)
    }
    let page = Page(
      "Control path of \(slug)", template: "fleet/path", values: .object(values),
      // What somebody fills in, or was just shown, stays.
      live: kind == nil ? FleetTopics.instance(view.id) : nil)
    return .page(page, status: problem.map { .init(code: $0.code.httpStatus) } ?? .ok)
  }

  private static func pathCheck(_ check: CheckView) -> JSONValue {
    [
      "outcome": .string(check.outcome), "class": .string(look(check)), "at": .string(check.at.description),
      "took": .string("\(check.durationMilliseconds) ms"), "code": .string(check.code ?? ""),
      "message": .string(check.message ?? ""), "next": .string(check.next ?? ""),
    ]
  }

  private static func plan(_ made: FleetService.PathSwitch, _ mark: String) -> JSONValue {
    let (from, to) = (PathView(made.from), PathView(made.instance.path))
    return [
      "mark": .string(mark), "kind": .string(to.kind.rawValue), "from": .string(from.words), "to": .string(to.words),
      "keptFor": .string(RehearsedPaths.keptFor.words), "drain": .string(PathLimits.drainFor.words),
      "checks": .array(
        made.report.results.map { result in
          let check = CheckView(result, at: result.at, behindFailure: false)
          return [
            "title": .string(check.title), "outcome": .string(check.outcome), "class": .string(look(check)),
            "took": .string("\(check.durationMilliseconds) ms"), "message": .string(check.message ?? ""),
          ]
        }),
    ]
  }
}
