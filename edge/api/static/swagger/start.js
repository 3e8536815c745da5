"use strict";

window.addEventListener("load", () => {
  const ui = SwaggerUIBundle({
    dom_id: "#swagger-ui",
    urls: [
      { url: "../v3/api-docs", name: "Platform" },
      { url: "../v3/api-docs/actions", name: "Actions of the agents" },
    ],
    deepLinking: true,
    persistAuthorization: true,
    validatorUrl: null,
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
    layout: "StandaloneLayout",
    // What was given under "Authorize" counts; else who is logged in on the landing page is so here.
    requestInterceptor: (request) => {
      const given = ui.authSelectors?.authorized()?.getIn(["bearerAuth", "value"]);
      const bearer = given || sessionStorage.getItem("opaca-token");
      // The document of the platform itself is open, also to those whose token has ended.
      const isOpen = request.loadSpec && !request.url.endsWith("/actions");
      if (bearer && !isOpen && !request.headers.Authorization) request.headers.Authorization = `Bearer ${bearer}`;
      return request;
    },
  });
});
