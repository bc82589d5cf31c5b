import Access
import Basics
import Evidence
import Web

/// The pages of Orgs.
extension FleetRoutes {
  var orgPages: [Route] {
    [
      .page("/orgs", "The Orgs, by name.") { try await orgsPage($0) },
      .form("/orgs", "Creates an Org.", .orgCreate, .orgCreated) { request in
        let form = try request.form()
        _ = try await service.createOrg(
          .init(slug: try Slug(form.text("slug")), name: form.filled("name")), as: try request.actor)
        return .redirect(to: form.optional("back") == "/orgs" ? "/orgs" : "/instances/new")
      },
    ]
  }

  /// By slug, so that a page begins where the one before ended, whatever is created meanwhile.
  private func orgsPage(_ request: WebRequest) async throws -> WebResponse {
    let wanted = try request.listing()
    let name = request.query("name")?.lowercased() ?? ""
    let page = Listing(
      try await reader.orgs(after: wanted.after?.keys.first, name: name, limit: wanted.readLimit), for: wanted
    ) { [$0.slug.text] }
    func address(_ cursor: Cursor?) -> String {
      let parts = [("name", name), ("limit", String(wanted.limit)), ("cursor", cursor?.text ?? "")]
      return "/orgs?" + parts.filter { !$0.1.isEmpty }.map { "\($0.0)=\(FormText.encode($0.1))" }.joined(separator: "&")
    }
    let values: JSONValue = [
      "name": .string(name), "hasOrgs": .bool(!page.items.isEmpty),
      "limits": .array(
        BoardAddress.limits.map { ["value": .string(String($0)), "chosen": .bool($0 == wanted.limit)] }),
      "orgs": .array(
        page.items.map { org in
          [
            "slug": .string(org.slug.text), "title": .string(org.name), "sort": .string(org.sort.rawValue),
            "instances": .integer(Int64(org.instances)), "at": .string(org.createdAt.description),
          ]
        }),
      "first": .string(wanted.after == nil ? "" : address(nil)), "next": .string(page.next.map(address) ?? ""),
      "mayCreate": .bool(request.caller?.role == .owner), "back": "/orgs", "orgsTitle": "Add an Org",
    ]
    return .page(Page("Orgs", template: "fleet/orgs", values: values, live: FleetTopics.fleet))
  }
}
